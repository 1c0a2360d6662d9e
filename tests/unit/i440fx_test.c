#include "pci_toy.h"

enum { SMRAM = 0x72, TRC = 0x93 };

struct rig {
    struct board *b;
    struct dev *host;
    struct region bios, vga;
    uint8_t rom[0x20000], frame[0x20000];
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->host = board_add(r->b, &i440fx_class, "host");
    memset(r->rom, 0xb1, sizeof r->rom);
    memset(r->frame, 0x76, sizeof r->frame);
    r->bios = (struct region){
        .name = "bios", .size = sizeof r->rom, .ram = r->rom, .readonly = true};
    r->vga = (struct region){
        .name = "vga", .size = sizeof r->frame, .ram = r->frame};
    space_map(r->b->env.mem, 0xe0000, &r->bios, 0);
    space_map(r->b->env.mem, 0xa0000, &r->vga, 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    space_unmap(&r->bios);
    space_unmap(&r->vga);
    board_remove(r->host);
    board_free(r->b);
    free(r);
    return 0;
}

static void registers(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    assert_int_equal(conf_read(b, 0, 0, 4), 0x12378086);
    assert_int_equal(conf_read(b, 0, 8, 4), 0x06000002);
    assert_int_equal(conf_read(b, 0, 4, 4), 0x02800006);
    conf_write(b, 0, 4, 0xffff, 2);
    assert_int_equal(conf_read(b, 0, 4, 2), 0x0146);
    /* 16 MB in rows of 2 MB, counted in units of 8 MB. */
    assert_int_equal(conf_read(b, 0, 0x60, 4), 0x01000000);
    assert_int_equal(conf_read(b, 0, 0x64, 4), 0x02010101);
}

/* Each of the 13 segments on its own, in each of the four modes. */
static void pam(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    for (unsigned i = 0; i < 13; i++) {
        uint64_t a = i < 12 ? 0xc0000 + i * 0x4000 : 0xf0000;
        uint64_t last = (i < 12 ? a + 0x4000 : a + 0x10000) - 1;
        unsigned reg = i < 12 ? 0x5a + i / 2 : 0x59;
        unsigned shift = i < 12 ? 4 * (i & 1) : 4;
        uint8_t below = a < 0xe0000 ? 0xff : 0xb1;

        b->env.ram[a] = b->env.ram[last] = 0x11;
        assert_int_equal(mem_read(b, a, 1), below);
        mem_write(b, a, 0x22, 1);
        assert_int_equal(b->env.ram[a], 0x11);

        conf_write(b, 0, reg, 3u << shift, 1); /* read, write */
        assert_int_equal(mem_read(b, a, 1), 0x11);
        assert_int_equal(mem_read(b, last, 1), 0x11);
        mem_write(b, last, 0x33, 1);
        assert_int_equal(b->env.ram[last], 0x33);

        conf_write(b, 0, reg, 1u << shift, 1); /* read only */
        mem_write(b, last, 0x44, 1);
        assert_int_equal(mem_read(b, last, 1), 0x33);

        conf_write(b, 0, reg, 2u << shift, 1); /* write only */
        assert_int_equal(mem_read(b, last, 1), below);
        mem_write(b, last, 0x55, 1);
        mem_write(b, a, 0x0807060504030201, 8);
        assert_int_equal(mem_read(b, last, 1), below);
        assert_int_equal(b->env.ram[last], 0x55);
        assert_int_equal(load_le64(b->env.ram + a), 0x0807060504030201);

        conf_write(b, 0, reg, 0, 1);
        assert_int_equal(mem_read(b, last, 1), below);
        assert_int_equal(r->rom[0], 0xb1);
    }
}

/* While firmware copies itself, CPUs run it from its ROM, not byte by byte. */
static void pam_write_only_is_a_window(void **state)
{
    struct rig *r = *state;
    struct window w;

    conf_write(r->b, 0, 0x59, 0x20, 1);
    assert_true(space_window(r->b->env.mem, 0xf8000, &w));
    assert_true(w.readonly);
    assert_ptr_equal(w.ram + (0xf8000 - w.base), r->rom + 0x18000);
}

static void pam_neighbours(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    memset(b->env.ram + 0xc0000, 0x5a, 0x40000);
    conf_write(b, 0, 0x5b, 0x30, 1); /* cc000 */
    assert_int_equal(mem_read(b, 0xcbfff, 1), 0xff);
    assert_int_equal(mem_read(b, 0xcc000, 1), 0x5a);
    assert_int_equal(mem_read(b, 0xcffff, 1), 0x5a);
    assert_int_equal(mem_read(b, 0xd0000, 1), 0xff);
    conf_write(b, 0, 0x58, 0x33330010, 4); /* all but F0000 */
    assert_int_equal(mem_read(b, 0xf0000, 1), 0xb1);
    conf_write(b, 0, 0x58, 0x33333010, 4);
    assert_int_equal(mem_read(b, 0xf0000, 1), 0x5a);
}

static void reset_unshadows(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    conf_write(b, 0, 0x59, 0x30, 1);
    conf_write(b, 0, SMRAM, 0x48, 1);
    r->host->cls->reset(r->host, false);
    assert_int_equal(mem_read(b, 0xf0000, 1), 0xb1);
    assert_int_equal(mem_read(b, 0xa0000, 1), 0x76);
    assert_int_equal(in(b, 0xcf8, 4), 0);
}

static void smram(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    b->env.ram[0xa0000] = 0x99;
    assert_int_equal(conf_read(b, 0, SMRAM, 1), 0x02);
    assert_int_equal(mem_read(b, 0xa0000, 1), 0x76);
    conf_write(b, 0, SMRAM, 0x40, 1); /* open, but not on */
    assert_int_equal(mem_read(b, 0xa0000, 1), 0x76);
    conf_write(b, 0, SMRAM, 0x48, 1);
    assert_int_equal(mem_read(b, 0xa0000, 1), 0x99);
    conf_write(b, 0, SMRAM, 0x08, 1);
    assert_int_equal(mem_read(b, 0xa0000, 1), 0x76);
    /* Locking closes it for good. */
    conf_write(b, 0, SMRAM, 0x58, 1);
    assert_int_equal(conf_read(b, 0, SMRAM, 1), 0x1a);
    conf_write(b, 0, SMRAM, 0x48, 1);
    assert_int_equal(conf_read(b, 0, SMRAM, 1), 0x1a);
    assert_int_equal(mem_read(b, 0xa0000, 1), 0x76);
}

static void lock_ends_with_reset(void **state)
{
    struct rig *r = *state;

    conf_write(r->b, 0, SMRAM, 0x18, 1);
    r->host->cls->reset(r->host, true);
    conf_write(r->b, 0, SMRAM, 0x48, 1);
    assert_int_equal(conf_read(r->b, 0, SMRAM, 1), 0x4a);
}

static void turbo_reset(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    conf_write(b, 0, TRC, 0x02, 1);
    assert_int_equal(b->resets, 0);
    conf_write(b, 0, TRC, 0x06, 1);
    assert_int_equal(b->resets, 1);
    conf_write(b, 0, TRC, 0x06, 1); /* no new edge */
    assert_int_equal(b->resets, 1);
    conf_write(b, 0, TRC, 0x00, 1);
    conf_write(b, 0, TRC, 0x04, 1);
    assert_int_equal(b->resets, 1);
    assert_int_equal(b->inits, 1);
}

static void loaded(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    struct pci_dev *p = b->env.pci->dev[0];

    memset(b->env.ram + 0xc0000, 0x5a, 0x40000);
    memset(p->config, 0xff, sizeof p->config);
    assert_int_equal(r->host->cls->loaded(r->host, 1), 0);
    assert_int_equal(mem_read(b, 0xf0000, 1), 0x5a);
    assert_int_equal(conf_read(b, 0, SMRAM, 1), 0x3a); /* locked, so closed */
    assert_int_equal(mem_read(b, 0xa0000, 1), 0x76);
    assert_int_equal(conf_read(b, 0, 0, 4), 0x12378086);
    assert_int_equal(b->resets, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(registers),
        T(pam),
        T(pam_neighbours),
        T(pam_write_only_is_a_window),
        T(reset_unshadows),
        T(smram),
        T(loaded),
        T(turbo_reset),
        T(lock_ends_with_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
