#include "vdriver.h"

enum { DEVFN = PCI_DEVFN(1, 0), DATA = 0x300000, RX = 0, TX = 1 };

extern const struct dev_class i440fx_class, virtio_console_class;

struct rig {
    struct board *b;
    struct dev *host, *con;
    struct vdriver d;
    struct chardev chr;
    struct host_mutex lock;
    /* The endpoint: what came out, and how much more it takes. */
    char text[256 << 10];
    size_t n, room;
    unsigned resumes;
};

static size_t host_write(void *endpoint, const uint8_t *p, size_t n)
{
    struct rig *r = endpoint;

    n = MIN(n, r->room);
    n = MIN(n, sizeof r->text - r->n);
    memcpy(r->text + r->n, p, n);
    r->n += n;
    r->room -= n;
    return n;
}

static void host_resume(void *endpoint)
{
    ((struct rig *)endpoint)->resumes++;
}

static void bring_up(struct rig *r)
{
    r->d = vd_find(r->b, DEVFN);
    assert_true(vd_negotiate(&r->d, 1ull << 32 | 1 << 28));
    vd_queue(&r->d, RX, 64);
    vd_queue(&r->d, TX, 64);
    vd_go(&r->d);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    host_mutex_init(&r->lock);
    r->b->env.loop = loop_create(&r->lock);
    r->host = board_add(r->b, &i440fx_class, "host");
    r->con = board_make(r->b, &virtio_console_class, "con");
    r->chr = (struct chardev){
        .write = host_write, .resume = host_resume, .endpoint = r};
    r->room = sizeof r->text;
    *(struct chardev **)board_prop(r->con, "chardev") = &r->chr;
    *(uint32_t *)board_prop(r->con, "cols") = 132;
    *(uint32_t *)board_prop(r->con, "rows") = 43;
    board_attach(r->b, r->con);
    bring_up(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    board_remove(r->con);
    board_remove(r->host);
    loop_destroy(r->b->env.loop);
    host_mutex_destroy(&r->lock);
    board_free(r->b);
    free(r);
    return 0;
}

static void identity(void **state)
{
    struct rig *r = *state;

    assert_int_equal(conf_read(r->b, DEVFN, 0, 4), 0x10431af4);
    assert_int_equal(vd_offered(&r->d) & 0xff, 5); /* size, emergency write */
    assert_int_equal(mem_read(r->b, r->d.device, 4), 43 << 16 | 132);
    assert_int_equal(mem_read(r->b, r->d.device + 4, 4), 1);
}

static void send(struct rig *r, unsigned i, const char *s)
{
    strcpy((char *)r->b->env.ram + DATA + 256 * i, s);
    ring_desc(&r->d.ring[TX], i, DATA + 256 * i, (uint32_t)strlen(s), 0, 0);
    ring_offer(&r->d.ring[TX], (uint16_t)i);
}

static void transmits(void **state)
{
    struct rig *r = *state;

    send(r, 0, "Hello, ");
    send(r, 1, "");
    send(r, 2, "world");
    vd_kick(&r->d, TX);
    assert_string_equal(r->text, "Hello, world");
    assert_int_equal(ring_used_idx(&r->d.ring[TX]), 3);
    assert_int_equal(vd_isr(&r->d), 1);
}

static void chained(void **state)
{
    struct rig *r = *state;

    send(r, 0, "abc");
    send(r, 1, "def");
    ring_desc(&r->d.ring[TX], 0, DATA, 3, D_NEXT, 1);
    r->room = 5;
    vd_kick(&r->d, TX);
    assert_string_equal(r->text, "abcde");
    r->room = 100;
    r->chr.writable(r->chr.dev);
    assert_string_equal(r->text, "abcdefdef");
}

/* A host that takes little at a time loses nothing and gets nothing twice. */
static void busy_host(void **state)
{
    struct rig *r = *state;
    char want[400] = "";

    for (unsigned i = 0; i < 8; i++) {
        char line[40];
        snprintf(line, sizeof line, "line %u: the quick brown fox\n", i);
        send(r, i, line);
        strcat(want, line);
    }
    r->room = 0;
    vd_kick(&r->d, TX);
    assert_int_equal(r->n, 0);
    while (r->n < strlen(want)) {
        vd_kick(&r->d, TX); /* does not help */
        r->room = 7;
        r->chr.writable(r->chr.dev);
        assert_int_equal(r->room, 0 + (r->n == strlen(want) ? r->room : 0));
    }
    assert_string_equal(r->text, want);
    assert_int_equal(ring_used_idx(&r->d.ring[TX]), 8);
}

static void reset_drops_the_rest(void **state)
{
    struct rig *r = *state;

    send(r, 0, "abcdef");
    r->room = 2;
    vd_kick(&r->d, TX);
    bring_up(r);
    r->room = 100;
    r->chr.writable(r->chr.dev);
    send(r, 0, "xyz");
    vd_kick(&r->d, TX);
    assert_string_equal(r->text, "abxyz");
}

/* The driver shrinks a buffer that is half written. */
static void shrinking_buffer(void **state)
{
    struct rig *r = *state;

    send(r, 0, "abcdef");
    r->room = 4;
    vd_kick(&r->d, TX);
    ring_desc(&r->d.ring[TX], 0, DATA, 2, 0, 0);
    r->room = 100;
    r->chr.writable(r->chr.dev);
    assert_string_equal(r->text, "abcd");
    assert_int_equal(ring_used_idx(&r->d.ring[TX]), 1);
    send(r, 1, "xyz");
    vd_kick(&r->d, TX);
    assert_string_equal(r->text, "abcdxyz");
}

/* A turn writes 64 KB; the loop goes on from there. */
static void large_buffer(void **state)
{
    struct rig *r = *state;
    enum { LARGE = 200 << 10 };

    memset(r->b->env.ram + DATA, 'x', LARGE);
    ring_desc(&r->d.ring[TX], 0, DATA, LARGE, 0, 0);
    ring_offer(&r->d.ring[TX], 0);
    vd_kick(&r->d, TX);
    assert_int_equal(r->n, 64 << 10);
    assert_int_equal(ring_used_idx(&r->d.ring[TX]), 0);
    assert_int_equal(loop_start(r->b->env.loop), 0);
    for (bool done = false; !done;) {
        host_mutex_lock(&r->lock);
        done = ring_used_idx(&r->d.ring[TX]);
        host_mutex_unlock(&r->lock);
    }
    assert_int_equal(r->n, LARGE);
}

static size_t receive(struct rig *r, const char *s)
{
    return r->chr.receive(r->chr.dev, (const uint8_t *)s, strlen(s));
}

static void receives(void **state)
{
    struct rig *r = *state;
    struct ring *rx = &r->d.ring[RX];
    uint32_t head, len;

    assert_int_equal(receive(r, "abc"), 0); /* no buffers */
    assert_int_equal(r->resumes, 0);
    for (unsigned i = 0; i < 3; i++) {
        ring_desc(rx, i, DATA + 256 * i, 4, D_WRITE, 0);
        ring_offer(rx, (uint16_t)i);
    }
    vd_kick(&r->d, RX);
    assert_int_equal(r->resumes, 1);
    assert_int_equal(receive(r, "abcdef"), 6);
    assert_true(ring_take(rx, &head, &len));
    assert_int_equal(len, 4);
    assert_true(ring_take(rx, &head, &len));
    assert_int_equal(len, 2);
    assert_memory_equal(r->b->env.ram + DATA, "abcd", 4);
    assert_memory_equal(r->b->env.ram + DATA + 256, "ef", 2);
    assert_int_equal(receive(r, "ghijkl"), 4); /* one buffer left */
    assert_int_equal(r->resumes, 1);
    ring_offer(rx, 0);
    vd_kick(&r->d, RX);
    assert_int_equal(r->resumes, 2);
}

static void receives_into_nothing(void **state)
{
    struct rig *r = *state;
    struct ring *rx = &r->d.ring[RX];

    /* Buffers without a writable byte: given back, and no end of them does
       not keep us. */
    for (unsigned i = 0; i < 64; i++) {
        ring_desc(rx, i, DATA, 4, 0, 0);
        ring_offer(rx, (uint16_t)i);
    }
    assert_int_equal(receive(r, "abc"), 0);
    assert_int_equal(ring_used_idx(rx), 64);
    ring_desc(rx, 0, 0xf0000000, 4, D_WRITE, 0);
    ring_offer(rx, 0);
    assert_int_equal(receive(r, "abc"), 0);
    assert_true(vc_read(&r->d, V_STATUS, 1) & S_NEEDS_RESET);
}

static void emergency_write(void **state)
{
    struct rig *r = *state;

    vc_write(&r->d, V_STATUS, 0, 1); /* works without queues */
    mem_write(r->b, r->d.device + 8, '!', 4);
    assert_string_equal(r->text, "!");
    assert_int_equal(mem_read(r->b, r->d.device + 8, 4), 0);
}

static void pause_keeps_input(void **state)
{
    struct rig *r = *state;

    ring_desc(&r->d.ring[RX], 0, DATA, 16, D_WRITE, 0);
    ring_offer(&r->d.ring[RX], 0);
    r->con->cls->pause(r->con);
    assert_int_equal(receive(r, "abc"), 0);
    send(r, 1, "out");
    vd_kick(&r->d, TX);
    assert_int_equal(r->n, 0);
    r->con->cls->resume(r->con);
    assert_int_equal(r->resumes, 1);
    assert_string_equal(r->text, "out");
    assert_int_equal(receive(r, "abc"), 3);
}

static void nobody_there(void **state)
{
    struct rig *r = *state;

    board_remove(r->con);
    assert_null(r->chr.receive);
    r->con = board_add(r->b, &virtio_console_class, "con");
    bring_up(r);
    assert_int_equal(vd_offered(&r->d) & 0xff, 4); /* no size either */
    send(r, 0, "lost");
    vd_kick(&r->d, TX);
    assert_int_equal(ring_used_idx(&r->d.ring[TX]), 1);
    assert_int_equal(r->n, 0);
}

/* Half-written output goes on after a snapshot, from the same byte. */
static void saved(void **state)
{
    struct rig *r = *state;
    const struct dev_class *cls = r->con->cls;
    size_t n = state_size(cls->state, 1);
    uint8_t *bytes = malloc(n);
    struct err e = {0};

    send(r, 0, "abcdef");
    r->room = 2;
    vd_kick(&r->d, TX);
    cls->pause(r->con);
    state_save(cls->state, 1, r->con, bytes);
    cls->reset(r->con, true);
    assert_int_equal(state_load(cls->state, 1, r->con, bytes, n, &e), 0);
    assert_int_equal(cls->loaded(r->con, 1), 0);
    r->room = 100;
    cls->resume(r->con);
    assert_string_equal(r->text, "abcdef");
    assert_int_equal(mem_read(r->b, r->d.device, 2), 132);
    free(bytes);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity),
        T(transmits),
        T(chained),
        T(busy_host),
        T(reset_drops_the_rest),
        T(shrinking_buffer),
        T(large_buffer),
        T(receives),
        T(receives_into_nothing),
        T(emergency_write),
        T(pause_keeps_input),
        T(nobody_there),
        T(saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
