/* The flash of firmware's settings, against Intel's command set 0001. */
#include "board.h"

extern const struct dev_class pflash_class;

enum { SIZE = 3 * 4096 };
#define BASE 0xffc00000ull

static struct board *b;
static struct dev *flash;
static uint8_t contents[SIZE], on_disk[SIZE];

/* --- a disk that completes when the test says so --- */

static struct blk_req *waiting;
static unsigned writes;

static void submit(struct blk *blk, struct blk_req *r)
{
    (void)blk;
    assert_null(waiting);
    assert_int_equal(r->op, BLK_WRITE);
    assert_int_equal(r->off % 512, 0);
    assert_int_equal(r->len % 512, 0);
    assert_true(r->off + r->len <= SIZE);
    waiting = r;
}

static void complete(int error)
{
    struct blk_req *r = waiting;

    assert_non_null(r);
    waiting = NULL;
    writes++;
    if (!error)
        memcpy(on_disk + r->off, r->sg->p, r->len);
    r->done(r, error);
}

static const struct blk_ops disk_ops = {.submit = submit};
static struct blk disk = {.ops = &disk_ops, .size = SIZE, .sector_size = 512};

static int setup(void **state)
{
    (void)state;
    b = board_new();
    for (unsigned i = 0; i < SIZE; i++)
        contents[i] = on_disk[i] = (uint8_t)(i * 7);
    writes = 0;
    waiting = NULL;
    flash = board_make(b, &pflash_class, "flash");
    *(uint64_t *)board_prop(flash, "base") = BASE;
    *(struct rom_bytes *)board_prop(flash, "contents") =
        (struct rom_bytes){contents, SIZE};
    *(struct blk **)board_prop(flash, "disk") = &disk;
    board_attach(b, flash);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_remove(flash);
    board_free(b);
    return 0;
}

static uint8_t get(unsigned off)
{
    return (uint8_t)mem_read(b, BASE + off, 1);
}

static void put(unsigned off, uint8_t v)
{
    mem_write(b, BASE + off, v, 1);
}

static bool is_array(void)
{
    struct window w;

    return space_window(b->env.mem, BASE, &w) && w.readonly && w.size == SIZE;
}

static void array(void **state)
{
    (void)state;
    assert_true(is_array());
    assert_int_equal(mem_read(b, BASE + 4096, 4), load_le32(contents + 4096));
    put(5, 0xff); /* read array: it does already */
    put(5, 0x00); /* no command */
    assert_true(is_array());
    assert_int_equal(get(5), contents[5]);
    assert_int_equal(writes, 0);
}

static void status_and_id(void **state)
{
    (void)state;
    put(0, 0x70);
    assert_false(is_array());
    assert_int_equal(get(77), 0x80);
    put(0, 0x50);
    assert_true(is_array());
    put(0, 0x70);
    assert_int_equal(get(0), 0x00); /* as firmware probes for flash */
    put(0, 0x90);
    assert_int_equal(get(0), 0x89);
    assert_int_equal(get(1), 0x18);
    put(0, 0x98);
    assert_int_equal(get(0x10), 'Q');
    assert_int_equal(get(0x11), 'R');
    assert_int_equal(get(0x12), 'Y');
    assert_int_equal(get(0x27), 14);                  /* 16 KB hold it */
    assert_int_equal(get(0x2d) | get(0x2e) << 8, 2);  /* blocks, less one */
    assert_int_equal(get(0x2f) | get(0x30) << 8, 16); /* of 16 * 256 bytes */
    assert_int_equal(get(2000), 0);
    put(0, 0xff);
    assert_true(is_array());
}

static void erase_and_program(void **state)
{
    (void)state;
    put(4096 + 9, 0x20);
    put(4096 + 9, 0xd0);
    assert_int_equal(get(0), 0x80);
    put(0, 0xff);
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(get(4096 + i), 0xff);
    assert_int_equal(get(4095), contents[4095]);
    assert_int_equal(get(8192), contents[8192]);
    complete(0);
    assert_int_equal(on_disk[4096], 0xff);

    put(5000, 0x40);
    put(5000, 0xf0);
    put(5000, 0x10); /* bits are only ever cleared */
    put(5000, 0x3c);
    put(0, 0xff);
    assert_int_equal(get(5000), 0x30);
    assert_int_equal(on_disk[5000], 0xff);
    complete(0);
    assert_int_equal(on_disk[5000], 0x30);
    assert_memory_equal(on_disk, contents, 4096);
    assert_int_equal(writes, 2);
}

static void bad_commands(void **state)
{
    (void)state;
    put(0, 0x20);
    put(0, 0x77); /* not confirmed */
    assert_int_equal(get(0), 0xb0);
    put(0, 0xe8);
    put(0, 200); /* more than the buffer holds */
    assert_int_equal(get(0), 0xb0);
    put(0, 0x50);
    assert_int_equal(get(0), contents[0]);
    assert_int_equal(writes, 0);
}

static void buffered(void **state)
{
    (void)state;
    put(0, 0x20);
    put(0, 0xd0);
    put(100, 0xe8);
    assert_int_equal(get(100) & 0x80, 0x80);
    put(100, 2); /* three bytes */
    put(100, 'a');
    put(101, 'b');
    put(102, 'c');
    put(100, 0xd0);
    assert_int_equal(get(0), 0x80);
    put(0, 0xff);
    assert_int_equal(get(100), 'a');
    assert_int_equal(get(101), 'b');
    assert_int_equal(get(102), 'c');
    assert_int_equal(get(103), 0xff);
    complete(0);
}

/* At the end of the flash there is nothing to program beyond. */
static void buffer_at_end(void **state)
{
    (void)state;
    put(SIZE - 1, 0xe8);
    put(SIZE - 1, 1);
    put(SIZE - 1, 0);
    put(0, 0);
    put(0, 0xd0);
    assert_true(get(0) & 0x10);
    put(0, 0xff);
    assert_int_equal(get(SIZE - 1), contents[SIZE - 1]);
    assert_null(waiting);
}

/* What changes while a write runs is written after it; pause leaves nothing
   behind; an error is no end. */
static void busy_disk(void **state)
{
    (void)state;
    put(0, 0x40);
    put(0, 0);
    put(0, 0xff);
    assert_non_null(waiting);
    assert_int_equal(flash->inflight, 1);
    put(8192, 0x40);
    put(8192, 0x00);
    pflash_class.pause(flash);
    complete(-LE_IO);
    assert_int_equal(flash->inflight, 1);
    complete(0);
    assert_int_equal(flash->inflight, 0);
    assert_int_equal(on_disk[8192], 0);
    assert_null(waiting);
    assert_int_equal(get(0), 0x80); /* the guest is still at its command */
}

static void state_travels(void **state)
{
    const struct dev_class *c = &pflash_class;
    static uint8_t bytes[512];
    size_t n = state_size(c->state, c->version);
    struct span mem;
    struct err e;

    (void)state;
    assert_true(n <= sizeof bytes);
    assert_true(c->memory(flash, 0, &mem));
    assert_int_equal(mem.n, SIZE);
    assert_false(c->memory(flash, 1, &mem));
    put(0, 0x70);
    state_save(c->state, c->version, flash, bytes);
    c->reset(flash, true);
    assert_true(is_array());
    assert_int_equal(state_load(c->state, c->version, flash, bytes, n, &e), 0);
    assert_int_equal(c->loaded(flash, c->version), 0);
    assert_false(is_array());
    put(0, 0xff); /* the disk gets what the snapshot had */
    assert_int_equal(waiting->len, SIZE);
    complete(0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(array),    T(status_and_id), T(erase_and_program), T(bad_commands),
        T(buffered), T(buffer_at_end), T(busy_disk),         T(state_travels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
