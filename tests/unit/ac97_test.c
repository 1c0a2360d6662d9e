/* The AC'97 controller against 82801AA's datasheet, 13.2, and its codec against
   the AC'97 specification, 5.7 and 5.8. */
#include "board.h"

extern const struct dev_class i440fx_class, ac97_class;

enum { MIXER = 0x1000, MASTER = 0x1400, LIST = 0x200000, DATA = 0x300000 };
enum { PI = 0x00, PO = 0x10, MC = 0x20, DEVFN = 1 << 3 };
enum { LVI = 5, SR = 6, PICB = 8, PIV = 10, CR = 11, CIV = 4 };
enum { GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34 };

static struct board *b;
static struct dev *bridge, *dev;

static uint32_t master(unsigned off, unsigned bytes)
{
    return in(b, MASTER + off, bytes);
}

static void set(unsigned off, uint32_t v, unsigned bytes)
{
    out(b, MASTER + off, v, bytes);
}

static uint32_t mixer(unsigned off)
{
    return in(b, MIXER + off, 2);
}

static void mix(unsigned off, uint32_t v)
{
    out(b, MIXER + off, v, 2);
}

/* The list's buffer i, of n samples. */
static void buffer(unsigned i, uint32_t n, bool interrupt)
{
    mem_write(b, LIST + 8 * i, DATA + 0x20000 * i, 4);
    mem_write(b, LIST + 8 * i + 4, n | (interrupt ? 1u << 31 : 0), 4);
}

static void later(uint64_t ms)
{
    b->now += ms * 1000000;
}

static bool interrupt(void)
{
    return conf_read(b, DEVFN, PCI_STATUS, 2) & PCI_STS_INTX;
}

static int setup(void **state)
{
    (void)state;
    b = board_new();
    b->now = 1;
    bridge = board_add(b, &i440fx_class, "bridge");
    dev = board_add(b, &ac97_class, "ac97");
    conf_write(b, DEVFN, 0x10, MIXER, 4);
    conf_write(b, DEVFN, 0x14, MASTER, 4);
    conf_write(b, DEVFN, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MASTER, 2);
    set(GLOB_CNT, 2, 4);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_remove(dev);
    board_remove(bridge);
    board_free(b);
    return 0;
}

static void identity(void **state)
{
    (void)state;
    assert_int_equal(conf_read(b, DEVFN, 0, 4), 0x24158086);
    assert_int_equal(conf_read(b, DEVFN, 8, 4) >> 8, 0x040100);
    assert_int_equal(conf_read(b, DEVFN, PCI_INT_PIN, 1), 1);
    conf_write(b, DEVFN, 0x10, 0xffffffff, 4);
    conf_write(b, DEVFN, 0x14, 0xffffffff, 4);
    assert_int_equal(conf_read(b, DEVFN, 0x10, 4) & 0xffff, 0xff01);
    assert_int_equal(conf_read(b, DEVFN, 0x14, 4) & 0xffff, 0xffc1);
}

/* The codec's power-on values, and what its registers hold of all ones. */
static void codec(void **state)
{
    static const struct {
        uint16_t off, initial, ones;
    } want[] = {
        {0x02, 0x8000, 0x9f1f}, {0x04, 0x8000, 0x9f1f}, {0x06, 0x8000, 0x801f},
        {0x0a, 0x0000, 0x801e}, {0x0c, 0x8008, 0x801f}, {0x0e, 0x8008, 0x805f},
        {0x10, 0x8808, 0x9f1f}, {0x12, 0x8808, 0x9f1f}, {0x14, 0x8808, 0x9f1f},
        {0x16, 0x8808, 0x9f1f}, {0x18, 0x8808, 0x9f1f}, {0x1a, 0x0000, 0x0707},
        {0x1c, 0x8000, 0x8f0f}, {0x1e, 0x8000, 0x800f}, {0x20, 0x0000, 0x0380},
        {0x22, 0x0000, 0x0000}, {0x26, 0x000f, 0xff0f}, {0x28, 0x0009, 0x0009},
        {0x7c, 0x8384, 0x8384}, {0x7e, 0x7600, 0x7600},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++) {
        assert_int_equal(mixer(want[i].off), want[i].initial);
        mix(want[i].off, 0xffff);
        if (mixer(want[i].off) != want[i].ones)
            fail_msg("register %02x holds %04x", want[i].off,
                     mixer(want[i].off));
    }
    /* The sixth bit of a level asks for the utmost. */
    mix(0x02, 0x0a25);
    assert_int_equal(mixer(0x02), 0x0a1f);
    mix(0x00, 1);
    assert_int_equal(mixer(0x02), 0x8000);
    /* Rates are variable only when that is enabled. */
    mix(0x2c, 44100);
    assert_int_equal(mixer(0x2c), 48000);
    mix(0x2a, 0xffff);
    assert_int_equal(mixer(0x2a), 9);
    mix(0x2c, 44100);
    mix(0x32, 1000);
    mix(0x34, 60000);
    assert_int_equal(mixer(0x2c), 44100);
    assert_int_equal(mixer(0x32), 8000);
    assert_int_equal(mixer(0x34), 48000);
    mix(0x2a, 0);
    assert_int_equal(mixer(0x2c), 48000);
}

/* GLOB_CNT's reset, GLOB_STA's ready bit, the semaphore. */
static void link(void **state)
{
    (void)state;
    assert_int_equal(master(GLOB_STA, 4), 0x100);
    mix(0x02, 0x0101);
    set(GLOB_CNT, 0, 4);
    assert_int_equal(master(GLOB_STA, 4), 0);
    assert_int_equal(mixer(0x02), 0xffff);
    assert_int_equal(master(GLOB_STA, 4), 0x8000);
    set(GLOB_CNT, 6, 4); /* a warm reset is over at once */
    assert_int_equal(master(GLOB_CNT, 4), 2);
    set(GLOB_STA, 0x8000, 4);
    assert_int_equal(master(GLOB_STA, 4), 0x100);
    assert_int_equal(mixer(0x02), 0x8000);
    assert_int_equal(master(CAS, 1), 0);
    assert_int_equal(master(CAS, 1), 1);
    mixer(0x02); /* the access ends it */
    assert_int_equal(master(CAS, 1), 0);
    assert_int_equal(mixer(0x80), 0xffff); /* no second codec */
    assert_int_equal(master(GLOB_STA, 4), 0x8100);
}

/* Two buffers at 96000 samples a second: 48000 for each ear. */
static void playback(void **state)
{
    (void)state;
    buffer(0, 9600, true);
    buffer(1, 4800, false);
    buffer(2, 9600, true);
    set(PO, LIST | 7, 4);
    assert_int_equal(master(PO, 4), LIST);
    assert_int_equal(master(PO + SR, 2), 1);
    set(PO + LVI, 1, 1);
    set(PO + CR, 0x1d, 1);
    assert_int_equal(master(PO + SR, 2), 0);
    assert_int_equal(master(PO + CIV, 1), 0);
    assert_int_equal(master(PO + PIV, 1), 1);
    assert_int_equal(master(PO + PICB, 2), 9600);
    later(25);
    assert_int_equal(master(PO + PICB, 2), 7200);
    assert_false(interrupt());
    later(75);
    assert_int_equal(master(PO + CIV, 1), 1);
    assert_int_equal(master(PO + SR, 2), 8); /* IOC */
    assert_int_equal(master(GLOB_STA, 4), 0x140);
    assert_true(interrupt());
    set(PO + SR, 8, 2);
    assert_false(interrupt());
    later(1000);
    /* The last one is done: halted, and nothing more happens. */
    assert_int_equal(master(PO + SR, 2), 7);
    assert_int_equal(master(PO + PICB, 2), 0);
    assert_true(interrupt());
    set(PO + SR, 4, 2);
    assert_int_equal(master(PO + SR, 2), 3);
    assert_false(interrupt());
    /* One more buffer: it goes on by itself. */
    set(PO + LVI, 2, 1);
    assert_int_equal(master(PO + SR, 2), 0);
    assert_int_equal(master(PO + CIV, 1), 2);
    later(100);
    assert_int_equal(master(PO + SR, 2), 0xf);
}

/* Stopped it keeps its place; RR forgets it, but not while it runs. */
static void stop_and_reset(void **state)
{
    (void)state;
    buffer(0, 9600, false);
    set(PO, LIST, 4);
    set(PO + LVI, 3, 1);
    set(PO + CR, 1, 1);
    later(50);
    set(PO + CR, 0, 1);
    assert_int_equal(master(PO + SR, 2), 1);
    later(1000);
    assert_int_equal(master(PO + PICB, 2), 4800);
    set(PO + CR, 1, 1);
    later(25);
    assert_int_equal(master(PO + PICB, 2), 2400);
    set(PO + CR, 3, 1);
    assert_int_equal(master(PO + LVI, 1), 3);
    set(PO + CR, 0, 1);
    set(PO + CR, 2, 1);
    assert_int_equal(master(PO, 4), 0);
    assert_int_equal(master(PO + LVI, 1), 0);
    assert_int_equal(master(PO + CR, 1), 0);
}

/* Silence arrives as it is due, at the rate that is set. */
static void record(void **state)
{
    uint8_t *ram = b->env.ram;

    (void)state;
    mix(0x2a, 1);
    mix(0x32, 8000);
    memset(ram + DATA, 0xee, 0x10000);
    buffer(0, 1600, true);
    set(PI, LIST, 4);
    set(PI + CR, 0x11, 1);
    later(50);
    assert_int_equal(master(PI + PICB, 2), 800);
    assert_int_equal(ram[DATA + 1599], 0);
    assert_int_equal(ram[DATA + 1600], 0xee);
    later(50);
    assert_int_equal(master(PI + SR, 2), 0xf);
    assert_int_equal(master(GLOB_STA, 4), 0x120);
    assert_int_equal(ram[DATA + 3199], 0);
    assert_int_equal(ram[DATA + 3200], 0xee);
    assert_true(interrupt());
}

/* Lists of nothing, lists and data at nowhere: they end, nothing is written. */
static void bad_lists(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++)
        buffer(i, 0, false);
    set(MC, LIST, 4);
    set(MC + LVI, 31, 1);
    set(MC + CR, 1, 1);
    assert_int_equal(master(MC + SR, 2), 7);
    assert_int_equal(master(MC + CIV, 1), 31);
    set(PI, 0xf0000000, 4);
    set(PI + CR, 9, 1);
    assert_int_equal(master(PI + SR, 2), 0x17); /* a FIFO error */
    assert_true(interrupt());
    buffer(0, 100, false);
    mem_write(b, LIST, 0xf0000000, 4);
    set(PO, LIST, 4);
    set(PO + CR, 1, 1);
    later(1000);
    assert_int_equal(master(PO + SR, 2), 7);
}

/* Six channels take three times as much. */
static void channels(void **state)
{
    (void)state;
    buffer(0, 28800, false);
    set(GLOB_CNT, 0x200002, 4);
    set(PO, LIST, 4);
    set(PO + CR, 1, 1);
    later(50);
    assert_int_equal(master(PO + PICB, 2), 14400);
}

static void state_travels(void **state)
{
    const struct dev_class *c = &ac97_class;
    static uint8_t bytes[4096];
    size_t n = state_size(c->state, c->version);
    struct err e;

    (void)state;
    assert_true(n <= sizeof bytes);
    buffer(0, 9600, true);
    buffer(1, 9600, true);
    set(PO, LIST, 4);
    set(PO + LVI, 1, 1);
    set(PO + CR, 0x1d, 1);
    mix(0x18, 0x0404);
    later(25);
    state_save(c->state, c->version, dev, bytes);
    c->reset(dev, true);
    assert_int_equal(state_load(c->state, c->version, dev, bytes, n, &e), 0);
    assert_int_equal(c->loaded(dev, c->version), 0);
    assert_int_equal(master(PO + PICB, 2), 7200);
    assert_int_equal(mixer(0x18), 0x0404);
    later(75);
    assert_int_equal(master(PO + CIV, 1), 1);
    assert_true(interrupt());
    /* From the future it is not taken. */
    b->now = 0;
    assert_int_equal(state_load(c->state, c->version, dev, bytes, n, &e), 0);
    assert_int_equal(c->loaded(dev, c->version), -LE_FORMAT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity),  T(codec),          T(link),
        T(playback),  T(stop_and_reset), T(record),
        T(bad_lists), T(channels),       T(state_travels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
