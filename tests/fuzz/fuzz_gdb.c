/*
 * A debugger's bytes, checksums not looked at, on a VM whose vCPU runs when it
 * is to make a step, with whatever registers it was given. Every answer is a
 * packet with the right checksum.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/interp/interp.h"
#include "input.h"
#include "vm/debug.h"
#include "vm/gdb/packet.h"
#include "vm/gdb/stub.h"

enum { RAM = 64 << 10, CODE = 0x1000 };

static struct {
    struct vm *vm;
    struct gdb_stub *stub;
    struct cpu_model model;
    struct region ram;
    struct x86_state state;
    uint8_t frame[GDB_FRAME];
    size_t n;
} t;

static void nothing(void *ctx)
{
    (void)ctx;
}

static void close_vm(void)
{
    gdb_destroy(t.stub);
    vm_destroy(t.vm);
}

static void open_vm(void)
{
    struct vm_config config = {.engine = &engine_interp,
                               .model = &t.model,
                               .ncpus = 2,
                               .ram_size = RAM};
    struct cpu_host host = {0};
    struct err e;

    cpu_host_features(&host.usable);
    if (cpu_model_make_for(&t.model, "x86-64-v2", &host, 2, &e) ||
        vm_create(&config, &t.vm, &e) ||
        gdb_create(t.vm, true, nothing, NULL, &t.stub, &e))
        abort();
    t.ram = (struct region){.name = "ram", .size = RAM, .ram = vm_ram(t.vm)};
    host_mutex_lock(vm_lock(t.vm));
    if (space_map(vm_mem(t.vm), 0, &t.ram, 0))
        abort();
    host_mutex_unlock(vm_lock(t.vm));
    atexit(close_vm);
}

/* Real mode, code in RAM. */
static void begin(void)
{
    memset(t.ram.ram, 0x90, RAM);
    space_wrote(vm_mem(t.vm), 0, RAM);
    for (unsigned n = 0; n < 2; n++) {
        x86_state_reset(&t.state, &t.model, true, false);
        t.state.seg[CS].sel = 0;
        t.state.seg[CS].base = 0;
        t.state.rip = CODE;
        vm_set_state(t.vm, n, &t.state, STATE_ALL);
    }
    gdb_connect(t.stub);
}

static unsigned digit(uint8_t c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Answers come whole, one at a time. */
static void check_frame(void)
{
    const uint8_t *f = t.frame;
    uint8_t sum = 0;

    if (t.n < 4 || f[0] != '$' || f[t.n - 3] != '#')
        abort();
    for (size_t k = 1; k < t.n - 3; k++) {
        if (f[k] == '#' || f[k] == '$')
            abort();
        sum += f[k];
    }
    if (digit(f[t.n - 2]) * 16 + digit(f[t.n - 1]) != sum)
        abort();
}

static void drain(void)
{
    const uint8_t *p;
    size_t n;

    t.n = 0;
    while ((p = gdb_out(t.stub, &n)) != NULL) {
        if (*p != '+' || t.n) { /* before it is agreed that there are none */
            if (t.n + n > sizeof t.frame)
                abort();
            memcpy(t.frame + t.n, p, n);
            t.n += n;
        }
        gdb_sent(t.stub, n);
    }
    if (t.n)
        check_frame();
}

static void run(void)
{
    for (unsigned n = 0; n < 2; n++) {
        struct vcpu *v = vm_vcpu(t.vm, n);

        if (v->debug.step)
            v->engine->run(v);
    }
    gdb_poll(t.stub);
    drain();
}

static void feed(const uint8_t *p, size_t n)
{
    size_t at = 0;

    while (at < n) {
        at += gdb_take(t.stub, p + at, n - at);
        drain();
        if (!vm_debug_holds(t.vm))
            run();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char no_ack[] = "$QStartNoAckMode#b0";

    if (!t.vm)
        open_vm();
    begin();
    feed((const uint8_t *)no_ack, sizeof no_ack - 1);
    feed(data, size);
    gdb_disconnect(t.stub);
    vm_debug_stop(t.vm);
    return 0;
}
