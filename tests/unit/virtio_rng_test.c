#include "vdriver.h"

enum { DEVFN = PCI_DEVFN(1, 0), DATA = 0x300000 };

extern const struct dev_class i440fx_class, virtio_rng_class;

struct rig {
    struct board *b;
    struct dev *host, *rng;
    struct vdriver d;
    struct ring *r;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->host = board_add(r->b, &i440fx_class, "host");
    r->rng = board_add(r->b, &virtio_rng_class, "rng");
    r->d = vd_find(r->b, DEVFN);
    assert_true(vd_negotiate(&r->d, 1ull << 32 | 1 << 28));
    r->r = vd_queue(&r->d, 0, 16);
    vd_go(&r->d);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    board_remove(r->rng);
    board_remove(r->host);
    board_free(r->b);
    free(r);
    return 0;
}

static uint32_t request(struct rig *r, uint32_t len, uint16_t flags)
{
    uint32_t head = 0, got = 0;

    ring_desc(r->r, 0, DATA, len, flags, 0);
    ring_offer(r->r, 0);
    vd_kick(&r->d, 0);
    assert_true(ring_take(r->r, &head, &got));
    return got;
}

static void identity(void **state)
{
    struct rig *r = *state;

    assert_int_equal(conf_read(r->b, DEVFN, 0, 4), 0x10441af4);
    assert_int_equal(vc_read(&r->d, V_NUM_QUEUES, 2), 1);
    assert_int_equal(r->d.device, 0); /* no configuration of its own */
}

static void fills(void **state)
{
    struct rig *r = *state;
    uint8_t first[64], zero[64] = {0};

    assert_int_equal(request(r, 64, D_WRITE), 64);
    memcpy(first, r->b->env.ram + DATA, 64);
    assert_memory_not_equal(first, zero, 64);
    assert_memory_equal(r->b->env.ram + DATA + 64, zero, 64);
    assert_int_equal(request(r, 64, D_WRITE), 64);
    assert_memory_not_equal(first, r->b->env.ram + DATA, 64);
    assert_int_equal(vd_isr(&r->d), 1);
}

static void bounded(void **state)
{
    struct rig *r = *state;

    assert_int_equal(request(r, 8 << 20, D_WRITE), 4096);
    assert_int_equal(r->b->env.ram[DATA + 4096], 0);
}

static void nothing_to_write(void **state)
{
    struct rig *r = *state;

    assert_int_equal(request(r, 64, 0), 0);
    assert_int_equal(request(r, 0, D_WRITE), 0);
}

static void many(void **state)
{
    struct rig *r = *state;
    uint32_t head, len;

    for (unsigned i = 0; i < 16; i++) {
        ring_desc(r->r, i, DATA + 16 * i, 16, D_WRITE, 0);
        ring_offer(r->r, (uint16_t)i);
    }
    /* A full ring is one turn; whether there is more is for the next. */
    r->b->env.loop = loop_create(NULL);
    vd_kick(&r->d, 0);
    for (unsigned i = 0; i < 16; i++) {
        assert_true(ring_take(r->r, &head, &len));
        assert_int_equal(head, i);
        assert_int_equal(len, 16);
    }
    board_remove(r->rng);
    loop_destroy(r->b->env.loop);
    r->b->env.loop = NULL;
    r->rng = board_add(r->b, &virtio_rng_class, "rng");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity), T(fills), T(bounded), T(nothing_to_write), T(many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
