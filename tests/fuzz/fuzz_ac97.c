/* Drivers of the AC'97 controller gone wild: registers, lists of buffers, time
   that passes, resets and snapshots, true or damaged: hw/audio/ac97.c. */
#define BOARD_WITHOUT_CMOCKA
#include "host/posix/loop.h"
#include "tests/fuzz/input.h"
#include "tests/unit/board.h"

extern const struct dev_class i440fx_class, ac97_class;

enum { TURNS = 1000, MIXER = 0x1000, MASTER = 0x1400, LIST = 0x200000 };
enum { DEVFN = PCI_DEVFN(1, 0) };

static struct timer *timer;
static uint64_t due;

static void arm(struct env *env, struct timer *t, uint64_t deadline)
{
    (void)env;
    timer = t;
    due = deadline;
}

static void map(struct board *b)
{
    conf_write(b, DEVFN, 0x10, MIXER, 4);
    conf_write(b, DEVFN, 0x14, MASTER, 4);
    conf_write(b, DEVFN, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MASTER, 2);
    out(b, MASTER + 0x2c, 2, 4);
    for (unsigned i = 0; i < 3; i++)
        out(b, MASTER + 16 * i, LIST, 4);
}

static void access(struct board *b, struct input *i)
{
    uint8_t how = (uint8_t)take(i, 1);
    unsigned bytes = 1u << (how & 3) % 3;
    unsigned port = how & 4 ? MIXER : MASTER;
    unsigned off = (unsigned)take(i, 1);

    port += how & 4 ? off : off % 0x40;
    if (how & 8)
        (void)in(b, port, bytes);
    else
        out(b, port, (uint32_t)take(i, bytes), bytes);
}

/* Time goes on, and the timer expires when its time has come. */
static void later(struct board *b, struct input *i)
{
    b->now += take(i, 4) << (take(i, 1) & 7);
    if (timer && due <= b->now)
        timer->fn(timer->ctx);
}

static void snapshot(struct dev *d, struct input *i)
{
    static uint8_t bytes[4096];
    const struct dev_class *c = d->cls;
    size_t n = state_size(c->state, c->version);
    unsigned damage = take(i, 1) & 3;
    struct err e;

    if (n > sizeof bytes)
        abort();
    state_save(c->state, c->version, d, bytes);
    for (unsigned k = 0; k < damage; k++)
        bytes[take(i, 2) % n] ^= (uint8_t)take(i, 1);
    if ((state_load(c->state, c->version, d, bytes, n, &e) < 0 ||
         c->loaded(d, c->version) < 0)) {
        if (!damage)
            abort(); /* its own state must load */
        c->reset(d, true);
        map(container_of(d->env, struct board, env));
    }
}

static void turn(struct board *b, struct dev *d, struct input *i)
{
    uint8_t what = (uint8_t)take(i, 1);

    switch (what & 7) {
    case 0: later(b, i); break;
    case 1: snapshot(d, i); break;
    case 2: mem_write(b, LIST + take(i, 1), take(i, 4), 4); break;
    case 3:
        if (what & 0x80) {
            d->cls->reset(d, what & 0x40);
            map(b);
        }
        break;
    case 4:
        conf_write(b, DEVFN, (unsigned)take(i, 1) & ~3u, take(i, 4) & ~0u, 4);
        break;
    default: access(b, i); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input i = {data, data + n};
    struct board *b = board_new();
    struct dev *bridge = board_add(b, &i440fx_class, "bridge"), *d;

    timer = NULL;
    b->env.arm = arm;
    d = board_add(b, &ac97_class, "ac97");
    map(b);
    for (unsigned k = 0; k < TURNS && more(&i); k++)
        turn(b, d, &i);
    board_remove(d);
    board_remove(bridge);
    board_free(b);
    return 0;
}
