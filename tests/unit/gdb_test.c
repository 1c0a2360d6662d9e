/*
 * The stub of GDB's remote protocol as a debugger meets it: packets in, packets
 * out, with a VM of two CPUs that run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../isa/jit_cases.h"
#include "engine/interp/interp.h"
#include "vm/gdb/packet.h"
#include "vm/gdb/stub.h"
#include "vm/vm.h"

enum { OUT = 4 * GDB_FRAME };

/* CPU 0 counts in RAX and memory for ever, CPU 1 in RBX. */
static const uint8_t program[] = {
    0x48, 0xff, 0xc0,             /* 00: inc rax */
    0x48, 0x89, 0x07,             /* 03: mov [rdi], rax */
    0xeb, 0xf8,                   /* 06: jmp 00 */
    0x48, 0xff, 0xc3, 0xeb, 0xfb, /* 08: inc rbx; jmp 08 */
    0x0f, 0x01, 0x1f, 0x0f, 0x0b, /* 0d: lidt [rdi]; ud2 */
};
enum { STORE = CODE_AT + 3, SECOND = CODE_AT + 8, CRASH = CODE_AT + 0xd };

static struct {
    struct vm *vm;
    struct gdb_stub *stub;
    struct region memory;
    struct cpu_model model;
    struct host_event stopped;
    char out[OUT]; /* as sent, then the last packet's data */
    size_t n;
} t;

static void on_stopped(void *ctx)
{
    (void)ctx;
    host_event_signal(&t.stopped);
}

static int boot(void *machine, struct vm *vm, struct x86_state *bsp,
                struct err *e)
{
    (void)machine;
    (void)e;
    (void)bsp;
    program_memory(vm_ram(vm), false);
    memcpy(vm_ram(vm) + CODE_AT, program, sizeof program);
    return 0;
}

static void cpu_state(void *machine, unsigned cpu, struct x86_state *s)
{
    struct rng r = {1};
    struct program p = {
        .r = &r, .mode = CASE_64_KERNEL, .wide = true, .at = CODE_AT};

    (void)machine;
    program_state(&p, s, &t.model);
    s->rflags = FLAG_1;
    s->rip = cpu ? SECOND : CODE_AT;
    s->gpr[RAX] = s->gpr[RBX] = 0;
    s->gpr[RDI] = DATA_AT;
    s->gpr[RSP] = DATA_AT + 0x800;
}

static const struct machine_ops machine = {.boot = boot,
                                           .cpu_state = cpu_state};

static int set_up(void **unused)
{
    struct vm_config config = {.engine = &engine_interp,
                               .model = &t.model,
                               .ncpus = 2,
                               .ram_size = RAM_SIZE};
    struct err e;

    (void)unused;
    memset(&t, 0, sizeof t);
    host_event_init(&t.stopped);
    cpu_host_features(&t.model.features);
    feature_set(&t.model.features, FEAT_AVX, true);
    t.model.linear_bits = 48;
    t.model.phys_bits = 40;
    t.model.xcr0_mask = 7;
    assert_int_equal(vm_create(&config, &t.vm, &e), 0);
    vm_set_machine(t.vm, &machine, NULL);
    t.memory =
        (struct region){.name = "ram", .size = RAM_SIZE, .ram = vm_ram(t.vm)};
    host_mutex_lock(vm_lock(t.vm));
    assert_int_equal(space_map(vm_env(t.vm)->mem, 0, &t.memory, 0), 0);
    host_mutex_unlock(vm_lock(t.vm));
    assert_int_equal(gdb_create(t.vm, true, on_stopped, NULL, &t.stub, &e), 0);
    assert_int_equal(vm_start(t.vm, &e), 0);
    gdb_connect(t.stub);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    vm_dismantle(t.vm);
    gdb_destroy(t.stub);
    vm_destroy(t.vm);
    host_event_destroy(&t.stopped);
    return 0;
}

/* --- the debugger's end --- */

static void drain(void)
{
    const uint8_t *p;
    size_t n;

    while ((p = gdb_out(t.stub, &n)) != NULL) {
        n = n > 7 ? 7 : n; /* not all at once */
        assert_true(t.n + n < OUT);
        memcpy(t.out + t.n, p, n);
        t.n += n;
        gdb_sent(t.stub, n);
    }
    t.out[t.n] = 0;
}

/* Raw bytes; what came back raw. */
static const char *raw(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    size_t at = 0;

    t.n = 0;
    while (at < n) {
        at += gdb_take(t.stub, p + at, n - at);
        drain();
    }
    return t.out;
}

/* Takes the data of the one packet in t.out out of its frame. */
static const char *unframe(void)
{
    char *from = strchr(t.out, '$'), *to = t.out;
    unsigned sum = 0, told;

    assert_non_null(from);
    for (from++; *from != '#'; from++) {
        sum += (uint8_t)*from;
        if (*from == '}')
            sum += (uint8_t) * ++from, *to++ = *from ^ 0x20;
        else
            *to++ = *from;
        assert_true(from < t.out + t.n);
    }
    assert_int_equal(sscanf(from, "#%2x", &told), 1);
    assert_int_equal(told, sum & 0xff);
    assert_ptr_equal(from + 3, t.out + t.n);
    t.n = (size_t)(to - t.out);
    *to = 0;
    return t.out;
}

static const char *ask_bytes(const void *data, size_t n)
{
    char *frame = malloc(n + 8);
    const uint8_t *p = data;
    uint8_t sum = 0;

    assert_non_null(frame);
    for (size_t k = 0; k < n; k++)
        sum += p[k];
    frame[0] = '$';
    memcpy(frame + 1, data, n);
    snprintf(frame + 1 + n, 4, "#%02x", sum);
    raw(frame, n + 4);
    free(frame);
    return t.out;
}

static const char *ask(const char *data)
{
    ask_bytes(data, strlen(data));
    return unframe();
}
#define ANSWERS(data, answer) assert_string_equal(ask(data), answer)

/* Nothing comes back until a vCPU stops. */
static const char *until_stop(const char *data)
{
    ask_bytes(data, strlen(data));
    assert_null(strchr(t.out, '$'));
    host_event_wait(&t.stopped, UINT64_MAX);
    t.n = 0;
    gdb_poll(t.stub);
    drain();
    return unframe();
}
#define STOPS(data, answer) assert_string_equal(until_stop(data), answer)

static uint64_t reg(unsigned n)
{
    char text[16];
    uint64_t v = 0;

    snprintf(text, sizeof text, "p%x", n);
    ask(text);
    for (size_t k = t.n; k; k -= 2) {
        unsigned byte;

        sscanf(t.out + k - 2, "%2x", &byte);
        v = v << 8 | byte;
    }
    return v;
}
enum { GDB_RAX, GDB_RBX, GDB_RIP = 16, GDB_CR0 = 60 };

/* --- packets --- */

static void frames(void **unused)
{
    char *big = malloc(GDB_PACKET + 10);

    (void)unused;
    assert_string_equal(raw("xx+$!#21", 8), "+$#00"); /* not known: empty */
    assert_string_equal(raw("$!#22", 5), "-");
    assert_string_equal(raw("$!#2z", 5), "-");
    assert_string_equal(raw("$!#z1", 5), "-");
    assert_string_equal(raw("$qC#b4", 6), "+$QC1#c5");
    assert_string_equal(raw("-", 1), "$QC1#c5");
    assert_string_equal(raw("$m1$qC#b4", 9), "+$QC1#c5"); /* broken off */
    memset(big, 'm', GDB_PACKET + 10);
    ask_bytes(big, GDB_PACKET + 10);
    assert_string_equal(unframe(), "E16");
    free(big);
    ANSWERS("QStartNoAckMode", "OK");
    assert_string_equal(raw("$qC#00-", 7), "$QC1#c5");
    assert_string_equal(raw("$", 1), "");
    gdb_disconnect(t.stub);
    gdb_connect(t.stub);
    assert_string_equal(raw("$qC#b4", 6), "+$QC1#c5");
}

static void nonsense(void **unused)
{
    static const char *const bad[] = {
        "m",
        "m1",
        "m1,",
        "mx,1",
        "M1,1",
        "M1000,1:1",
        "M1000,2:11",
        "M1000,1:1122",
        "X1000,2:a",
        "p",
        "pfff",
        "P0",
        "P0=",
        "P0=11",
        "G00",
        "Z",
        "Z0",
        "Z0,",
        "Z0,1",
        "vCont;",
        "vCont;x",
        "vCont;c:",
        "vCont;c:3",
        "vCont;cc",
        "vCont;C",
        "vCont",
        "Hq1",
        "Hg3",
        "T3",
        "qXfer:features:read:x:0,1",
        "qRcmd",
        "qThreadExtraInfo,9",
        "p10000000000000000",
        "qXfer:features:read:target.xml:fffff,1",
        "Qqemu.PhyMemMode",
    };

    (void)unused;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        assert_string_equal(ask(bad[k]), "E16");
    ANSWERS("Z9,1,1", "");
    ANSWERS("vMustReplyEmpty", "");
    ANSWERS("qCRC:1,1", "");
    ANSWERS("", "");
    ANSWERS("Z2,1000,0", "E1c");
}

static void description(void **unused)
{
    char xml[40000], text[80];
    unsigned n = 0, bits = 0, regs = 0, number;

    (void)unused;
    assert_non_null(strstr(ask("qSupported:swbreak+"), "qXfer:features:read+"));
    for (;;) {
        snprintf(text, sizeof text, "qXfer:features:read:target.xml:%x,3e8", n);
        ask(text);
        memcpy(xml + n, t.out + 1, t.n);
        n += (unsigned)t.n - 1;
        if (t.out[0] == 'l')
            break;
        assert_int_equal(t.out[0], 'm');
    }
    assert_non_null(strstr(xml, "</target>"));
    for (char *p = xml; (p = strstr(p, "<reg ")) != NULL; p++, regs++) {
        assert_int_equal(sscanf(strstr(p, "bitsize"), "bitsize=\"%u", &number),
                         1);
        if (!strncmp(p, "<reg name=\"cr0\"", 15))
            assert_int_equal(regs, GDB_CR0);
        bits += number;
    }
    ask("g");
    assert_int_equal(t.n, bits / 4);
    snprintf(text, sizeof text, "p%x", regs - 1);
    assert_int_equal(strlen(ask(text)), number / 4); /* the last one */
    snprintf(text, sizeof text, "p%x", regs);
    ANSWERS(text, "E16");
}

static void registers(void **unused)
{
    char all[8192];

    (void)unused;
    assert_int_equal(reg(GDB_RIP), CODE_AT);
    ANSWERS("P0=8877665544332211", "OK");
    assert_int_equal(reg(GDB_RAX), 0x1122334455667788);
    ANSWERS("P10=0300010000000000", "OK");
    assert_int_equal(reg(GDB_RIP), STORE);
    assert_true(reg(GDB_CR0) & CR0_PG);
    ANSWERS("P3c=1100000000000000", "E16"); /* CR0 */
    ANSWERS("P12=33000000", "E16");         /* CS: no descriptor goes with it */
    snprintf(all, sizeof all, "G%s", ask("g"));
    memcpy(all + 1, "0100000000000000", 16);
    ANSWERS(all, "OK");
    assert_int_equal(reg(GDB_RAX), 1);
    ANSWERS("Hg2", "OK");
    assert_int_equal(reg(GDB_RIP), SECOND);
}

static void memory(void **unused)
{
    uint8_t *ram = vm_ram(t.vm);
    char text[64];

    (void)unused;
    snprintf(text, sizeof text, "m%x,4", CODE_AT);
    ANSWERS(text, "48ffc048");
    snprintf(text, sizeof text, "m%x,4", ALIAS + CODE_AT);
    ANSWERS(text, "48ffc048");
    snprintf(text, sizeof text, "m%x,1", DATA_HOLE);
    ANSWERS(text, "E0e");
    snprintf(text, sizeof text, "M%x,1:aa", DATA_HOLE);
    ANSWERS(text, "E0e");
    snprintf(text, sizeof text, "m%x,4", DATA_HOLE - 2); /* what there is */
    assert_int_equal(strlen(ask(text)), 4);
    snprintf(text, sizeof text, "M%x,2:abcd", DATA_RO + 5);
    ANSWERS(text, "OK");
    assert_int_equal(ram[DATA_RO + 5], 0xab);
    snprintf(text, sizeof text, "M%x,4:01020304", DATA_AT + 0xffe);
    ANSWERS(text, "OK");
    assert_int_equal(ram[DATA_AT + 0x1001], 4);
    snprintf(text, sizeof text, "X%x,3:q}\x03z", DATA_AT);
    ANSWERS(text, "OK");
    assert_memory_equal(ram + DATA_AT, "q#z", 3);
    /* Physical: what is not mapped is there, the alias is not. */
    ANSWERS("Qqemu.PhyMemMode:1", "OK");
    ANSWERS("qqemu.PhyMemMode", "1");
    snprintf(text, sizeof text, "m%x,1", DATA_HOLE);
    assert_int_equal(strlen(ask(text)), 2);
    snprintf(text, sizeof text, "m%x,1", ALIAS + CODE_AT);
    ANSWERS(text, "E0e");
}

/* --- running --- */

static void steps_and_points(void **unused)
{
    char text[64];

    (void)unused;
    ANSWERS("?", "T05thread:01;");
    ANSWERS("vCont?", "vCont;c;C;s;S");
    STOPS("vCont;s:1", "T05thread:01;");
    assert_int_equal(reg(GDB_RIP), STORE);
    assert_int_equal(reg(GDB_RAX), 1);
    ANSWERS("Hg2", "OK");
    assert_int_equal(reg(GDB_RBX), 0); /* it stood still */
    ANSWERS("Hg1", "OK");
    snprintf(text, sizeof text, "Z0,%x,1", STORE);
    ANSWERS(text, "OK");
    STOPS("vCont;s:1", "T05thread:01;");
    STOPS("c", "T05thread:01;swbreak:;");
    STOPS("vCont;c", "T05thread:01;swbreak:;"); /* still there */
    text[0] = 'z';
    ANSWERS(text, "OK");
    memcpy(text, "Z1", 2);
    ANSWERS(text, "OK");
    STOPS("s", "T05thread:01;");
    STOPS("C05", "T05thread:01;hwbreak:;");
    assert_int_equal(reg(GDB_RAX), 3);
    text[0] = 'z';
    ANSWERS(text, "OK");
    snprintf(text, sizeof text, "Z2,%x,8", DATA_AT);
    ANSWERS(text, "OK");
    snprintf(text, sizeof text, "T05thread:01;watch:%x;", DATA_AT);
    STOPS("vCont;c:1", text);
    assert_int_equal(reg(GDB_RIP), CODE_AT + 6);
}

/* New code is seen, whatever was decoded before. */
static void patches(void **unused)
{
    char text[64];

    (void)unused;
    STOPS("vCont;s:1", "T05thread:01;");
    STOPS("vCont;s:1", "T05thread:01;");
    STOPS("vCont;s:1", "T05thread:01;");
    assert_int_equal(reg(GDB_RIP), CODE_AT);
    snprintf(text, sizeof text, "M%x,3:48ffc8", CODE_AT); /* dec rax */
    ANSWERS(text, "OK");
    STOPS("vCont;s:1", "T05thread:01;");
    assert_int_equal(reg(GDB_RAX), 0);
}

static void interrupts(void **unused)
{
    (void)unused;
    ask_bytes("vCont;c", 7);
    raw("\x03", 1);
    assert_string_equal(unframe(), "T02thread:01;");
    assert_false(vm_is_running(t.vm));
    ask_bytes("c", 1);
    ask_bytes("g", 1); /* a packet also stops it */
    assert_string_equal(unframe(), "T02thread:01;");
}

static void threads(void **unused)
{
    (void)unused;
    ANSWERS("qfThreadInfo", "m1,2");
    ANSWERS("qsThreadInfo", "l");
    ANSWERS("qThreadExtraInfo,2", "43505520312c2072756e6e696e67");
    ANSWERS("T2", "OK");
    ANSWERS("Hc2", "OK");
    STOPS("vCont;s:2", "T05thread:02;");
    assert_int_equal(reg(GDB_RBX), 1);
    ANSWERS("qC", "QC2");
    ANSWERS("Hg0", "OK");
    ANSWERS("Hc-1", "OK");
    STOPS("vCont;s:2;c", "T05thread:02;");
    ANSWERS("qAttached", "1");
}

static void leaves(void **unused)
{
    char text[64];

    (void)unused;
    snprintf(text, sizeof text, "Z0,%x,1", STORE);
    ANSWERS(text, "OK");
    ANSWERS("D", "OK");
    assert_true(vm_is_running(t.vm));
    gdb_disconnect(t.stub);
    assert_true(vm_is_running(t.vm));
    gdb_connect(t.stub);
    assert_false(vm_is_running(t.vm));
    ANSWERS(text, "OK"); /* and is met again */
    STOPS("vCont;c:1", "T05thread:01;swbreak:;");
    gdb_disconnect(t.stub); /* without a word */
    assert_true(vm_is_running(t.vm));
}

static void ends(void **unused)
{
    struct vm_outcome o;

    (void)unused;
    ask_bytes("k", 1);
    vm_wait(t.vm, UINT64_MAX, &o);
    assert_int_equal(o.end, VM_END_STOPPED);
    t.n = 0;
    gdb_end(t.stub, false, 3);
    drain();
    assert_string_equal(unframe(), "W03");
}

/* A triple fault: looked at, then what it is without a debugger. */
static void crashes(void **unused)
{
    struct vm_outcome o;
    char text[64];

    (void)unused;
    snprintf(text, sizeof text, "M%x,a:00000000000000000000", DATA_AT);
    ANSWERS(text, "OK");
    snprintf(text, sizeof text, "c%x", CRASH);
    STOPS(text, "T0bthread:01;");
    assert_int_equal(reg(GDB_RIP), CRASH + 3);
    ask_bytes("vCont;c", 7);
    vm_wait(t.vm, UINT64_MAX, &o);
    assert_int_equal(o.end, VM_END_CRASH);
    t.n = 0;
    gdb_end(t.stub, true, 1);
    drain();
    assert_string_equal(unframe(), "X0b");
}

/* --- monitor --- */

static const char *monitor(const char *line)
{
    char text[256] = "qRcmd,";
    size_t n = strlen(text);

    for (; *line; line++, n += 2)
        snprintf(text + n, sizeof text - n, "%02x", (uint8_t)*line);
    ask(text);
    for (n = 0; n < t.n / 2; n++) {
        unsigned byte;

        sscanf(t.out + 2 * n, "%2x", &byte);
        t.out[n] = (char)byte;
    }
    t.out[n] = 0;
    return t.out;
}

static void monitors(void **unused)
{
    (void)unused;
    assert_non_null(strstr(monitor("help"), "registers"));
    assert_non_null(strstr(monitor("reg"), "64-bit"));
    assert_non_null(strstr(monitor("dance"), "no such command"));
    assert_non_null(strstr(monitor(""), "no such command"));
    assert_string_equal(monitor("physical on"), "physical: on\n");
    assert_string_equal(monitor(" physical  off"), "physical: off\n");
    assert_string_equal(monitor("translate 0x40010"),
                        "0x40010 is at physical 0x10010\n");
    STOPS("vCont;s:1", "T05thread:01;");
    assert_int_equal(reg(GDB_RAX), 1);
    monitor("reset");
    assert_int_equal(reg(GDB_RAX), 0);
    assert_int_equal(reg(GDB_RIP), CODE_AT);
    assert_false(vm_is_running(t.vm));
    STOPS("vCont;s:1", "T05thread:01;");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames),    TEST(nonsense),   TEST(description),
        TEST(registers), TEST(memory),     TEST(steps_and_points),
        TEST(patches),   TEST(interrupts), TEST(threads),
        TEST(leaves),    TEST(ends),       TEST(crashes),
        TEST(monitors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
