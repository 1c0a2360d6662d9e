/* fw_cfg against QEMU's docs/specs/fw_cfg, and the debug console beside it. */
#include "board.h"

#include "hw/firmware/fw_cfg.h"

extern const struct dev_class fw_cfg_class, debugcon_class;

static struct board *b;
static struct dev *cfg;

static int setup(void **state)
{
    (void)state;
    b = board_new();
    cfg = board_add(b, &fw_cfg_class, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_remove(cfg);
    board_free(b);
    return 0;
}

static uint8_t in_data(void)
{
    return (uint8_t)space_read_locked(b->env.io, 0x511, 1);
}

static void out_selector(unsigned key)
{
    space_write_locked(b->env.io, 0x510, key, 2);
}

static void identity(void **state)
{
    static const uint8_t id[] = {3, 0, 0, 0};

    (void)state;
    out_selector(0);
    assert_int_equal(in_data(), 'Q');
    assert_int_equal(in_data(), 'E');
    assert_int_equal(in_data(), 'M');
    assert_int_equal(in_data(), 'U');
    assert_int_equal(in_data(), 0); /* the item is at its end */
    out_selector(1);
    for (unsigned i = 0; i < sizeof id; i++)
        assert_int_equal(in_data(), id[i]);
    out_selector(0);
    assert_int_equal(in_data(), 'Q'); /* selecting goes back to the start */
    space_write_locked(b->env.io, 0x511, 'x', 1);
    assert_int_equal(in_data(), 'E'); /* data is not to be written */
    out_selector(0x3ff);
    assert_int_equal(in_data(), 0);
}

static void numbers(void **state)
{
    (void)state;
    assert_int_equal(fw_cfg_set_number(cfg, FW_CFG_RAM_SIZE, 0x123456789a, 8),
                     0);
    assert_int_equal(fw_cfg_set_number(cfg, FW_CFG_IRQ0_OVERRIDE, 1, 4), 0);
    assert_int_equal(fw_cfg_set_number(cfg, 0x9000, 1, 4), -LE_USAGE);
    out_selector(FW_CFG_RAM_SIZE);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(in_data(), (uint8_t)(0x123456789aull >> 8 * i));
    out_selector(FW_CFG_IRQ0_OVERRIDE);
    assert_int_equal(in_data(), 1);
}

static void refresh(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void directory(void **state)
{
    static const char text[] = "hello";
    unsigned refreshed = 0;
    uint8_t dir[4 + 2 * 64];

    (void)state;
    assert_int_equal(fw_cfg_add_file(cfg, "etc/a", text, 5, NULL, NULL), 0);
    assert_int_equal(
        fw_cfg_add_file(cfg, "opt/b", text, 2, refresh, &refreshed), 0);
    assert_int_equal(fw_cfg_add_file(cfg, "etc/a", text, 5, NULL, NULL),
                     -LE_USAGE);
    out_selector(FW_CFG_FILE_DIR);
    for (unsigned i = 0; i < sizeof dir; i++)
        dir[i] = in_data();
    assert_int_equal(load_be32(dir), 2);
    assert_int_equal(load_be32(dir + 4), 5);
    assert_int_equal(load_be16(dir + 8), 0x20);
    assert_string_equal((char *)dir + 12, "etc/a");
    assert_int_equal(load_be32(dir + 68), 2);
    assert_int_equal(load_be16(dir + 72), 0x21);
    assert_string_equal((char *)dir + 76, "opt/b");
    out_selector(0x20);
    assert_int_equal(refreshed, 0);
    assert_int_equal(in_data(), 'h');
    out_selector(0x21);
    assert_int_equal(refreshed, 1);
}

static void too_many(void **state)
{
    char name[100];

    (void)state;
    for (unsigned i = 0; i < FW_CFG_FILES; i++) {
        snprintf(name, sizeof name, "opt/%u", i);
        assert_int_equal(fw_cfg_add_file(cfg, name, "", 0, NULL, NULL), 0);
    }
    assert_int_equal(fw_cfg_add_file(cfg, "more", "", 0, NULL, NULL),
                     -LE_NOSPACE);
    memset(name, 'n', sizeof name);
    name[56] = 0;
    assert_int_not_equal(fw_cfg_add_file(cfg, name, "", 0, NULL, NULL), 0);
}

/* --- DMA --- */

enum { DESC = 0x1000, TO = 0x2000 };

/* The status that the device leaves. */
static uint32_t dma(uint32_t control, uint32_t n, uint64_t to)
{
    uint8_t *d = b->env.ram + DESC;

    store_be32(d, control);
    store_be32(d + 4, n);
    store_be64(d + 8, to);
    space_write_locked(b->env.io, 0x514, 0, 4);
    space_write_locked(b->env.io, 0x518, __builtin_bswap32(DESC), 4);
    return load_be32(d);
}

static void dma_reads(void **state)
{
    uint8_t *to = b->env.ram + TO;

    (void)state;
    assert_int_equal(space_read_locked(b->env.io, 0x514, 8),
                     __builtin_bswap64(0x51454d5520434647));
    memset(to, 0xee, 16);
    /* Select, and read beyond the end. */
    assert_int_equal(dma(0 << 16 | 1 << 3 | 1 << 1, 8, TO), 0);
    assert_memory_equal(to, "QEMU\0\0\0\0\xee", 9);
    /* Skip, then go on where that led. */
    assert_int_equal(dma(1 << 3, 0, 0), 0);
    assert_int_equal(dma(1 << 2, 2, 0), 0);
    assert_int_equal(dma(1 << 1, 2, TO), 0);
    assert_memory_equal(to, "MUMU", 4); /* two bytes, not more */
    /* An item there is none. */
    memset(to, 0xee, 4);
    assert_int_equal(dma(0x777u << 16 | 1 << 3 | 1 << 1, 2, TO), 0);
    assert_memory_equal(to, "\0\0\xee", 3);
}

static void dma_errors(void **state)
{
    (void)state;
    assert_int_equal(dma(1 << 3 | 1 << 4, 4, TO), 1); /* nothing is writable */
    assert_int_equal(dma(1 << 3 | 1 << 1, 4, 0x123400000000), 1);
    /* Where the length leaves RAM it is given up. */
    assert_int_equal(dma(1 << 3 | 1 << 1, 0xffffffff, TO), 1);
    /* A descriptor nowhere: nothing happens. */
    space_write_locked(b->env.io, 0x514, 0x77, 4);
    space_write_locked(b->env.io, 0x518, 0, 4);
}

static void state_travels(void **state)
{
    static uint8_t bytes[256];
    const struct dev_class *c = &fw_cfg_class;
    size_t n = state_size(c->state, c->version);
    struct err e;

    (void)state;
    out_selector(0);
    in_data();
    state_save(c->state, c->version, cfg, bytes);
    out_selector(1);
    assert_int_equal(state_load(c->state, c->version, cfg, bytes, n, &e), 0);
    assert_int_equal(c->loaded(cfg, c->version), 0);
    assert_int_equal(in_data(), 'E');
    c->reset(cfg, true);
    assert_int_equal(in_data(), 0);
}

static void debug_console(void **state)
{
    struct dev *con = board_add(b, &debugcon_class, NULL);

    (void)state;
    assert_int_equal(space_read_locked(b->env.io, 0x402, 1), 0xe9);
    for (unsigned i = 0; i < 1000; i++)
        space_write_locked(b->env.io, 0x402, i & 0xff, 1);
    board_remove(con);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identity, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(directory, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(state_travels, setup, teardown),
        cmocka_unit_test_setup_teardown(debug_console, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
