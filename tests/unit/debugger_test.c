/*
 * What a debugger asks of the engines that are Lodge's own: points, single
 * steps, accesses; and that a guest sees nothing of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../isa/jit_cases.h"
#include "engine/interp/interp.h"
#include "engine/jit/jit.h"
#ifdef HAVE_KVM
#include <cpuid.h>

#include "engine/kvm/kvm.h"
#endif
#include "vm/vm.h"

enum { VECTOR_DB = 1, VECTOR_BP = 3, VECTOR_UD = 6, VECTOR_TIMER = 0x20 };

static struct {
    const struct engine_ops *engine;
    struct vm *vm;
    struct vcpu *v;
    uint8_t *ram;
    struct region memory;
    struct cpu_model model;
    struct x86_state state;
    struct debug_points points;
} t;

static bool is_kvm(void)
{
    return t.engine->native;
}

static void make_model(void)
{
    struct cpu_host host = {0};
    struct err e;

    cpu_host_features(&host.usable);
    if (t.engine->host_cpu)
        assert_int_equal(t.engine->host_cpu(&host, &e), 0);
    assert_int_equal(cpu_model_make_for(&t.model, "host", &host, 1, &e), 0);
}

static void set_up(const struct engine_ops *engine, uint32_t stress,
                   enum case_mode mode)
{
    static struct rng r = {1};
    struct vm_config config = {.engine = engine,
                               .model = &t.model,
                               .ncpus = 1,
                               .ram_size = RAM_SIZE,
                               .tuning = {.stress = stress}};
    struct program p = {
        .r = &r, .mode = mode, .wide = mode == CASE_64_KERNEL, .at = CODE_AT};
    struct err e;

    memset(&t, 0, sizeof t);
    t.engine = engine;
    make_model();
    assert_int_equal(vm_create(&config, &t.vm, &e), 0);
    t.v = vm_vcpu(t.vm, 0);
    t.ram = vm_ram(t.vm);
    t.memory = (struct region){.name = "ram", .size = RAM_SIZE, .ram = t.ram};
    host_mutex_lock(vm_lock(t.vm));
    assert_int_equal(space_map(vm_env(t.vm)->mem, 0, &t.memory, 0), 0);
    host_mutex_unlock(vm_lock(t.vm));
    program_memory(t.ram, false);
    program_state(&p, &t.state, &t.model);
    t.state.rflags &= ~(uint64_t)FLAG_AC;
    t.state.gpr[RAX] = t.state.gpr[RCX] = 0;
    t.state.gpr[RDI] = DATA_AT;
    t.state.gpr[RSI] = DATA_AT + 0x100;
    t.state.gpr[RSP] = DATA_AT + 0x800;
    t.v->debug.points = &t.points;
}

static void code(const void *bytes, size_t n)
{
    memcpy(t.ram + CODE_AT, bytes, n);
    t.engine->wrote(t.vm, CODE_AT, n);
    t.engine->set(t.v, &t.state, STATE_ALL);
}
#define CODE(...)                                                              \
    code((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* As vm/ does it: new offsets are marked, and the engine hears of it. */
static void point(enum debug_kind kind, gva_t a, uint32_t length)
{
    struct debug_points *p = &t.points;
    uint64_t *word = &p->marks[(a & ~PAGE_MASK) / 64], bit = 1ull << a % 64;

    p->point[p->n++] =
        (struct debug_point){.address = a,
                             .gpa = a < RAM_SIZE ? a : DEBUG_UNMAPPED,
                             .length = length,
                             .kind = kind};
    p->data += kind != DEBUG_CODE;
    t.v->debug.marked = kind == DEBUG_CODE && !(*word & bit);
    if (kind == DEBUG_CODE)
        *word |= bit;
    assert_int_equal(t.engine->debug(t.v, NULL), 0);
    t.v->debug.marked = false;
}

static void no_points(void)
{
    t.points.n = t.points.data = 0;
    t.engine->debug(t.v, NULL);
}

/* KVM keeps a halted vCPU, so that somebody must look in. */
static void look_in(void *arg)
{
    atomic_bool *done = arg;
    struct host_event never;

    host_event_init(&never);
    while (!host_event_wait(&never, host_now() + NS_PER_SEC / 20) && !*done)
        vcpu_raise(t.v, VCPU_KICK);
    host_event_destroy(&never);
}

static enum stop run_kvm(void)
{
    atomic_bool done = false;
    struct host_thread *looker = host_thread_start("looker", look_in, &done);
    enum stop stop;

    do {
        stop = t.engine->run(t.v);
        vcpu_lower(t.v, VCPU_KICK);
        t.engine->get(t.v, &t.state, STATE_ALL);
    } while (stop == STOP_KICK && t.state.activity != CPU_HALTED);
    done = true;
    host_thread_join(looker);
    return stop == STOP_KICK ? STOP_HALT : stop;
}

static enum stop go(bool step)
{
    enum stop stop;

    t.v->debug.step = step;
    t.v->debug.held = step ? VCPU_INTR | VCPU_NMI | VCPU_SMI : 0;
    t.engine->debug(t.v, NULL);
    stop = is_kvm() ? run_kvm() : t.engine->run(t.v);
    t.engine->get(t.v, &t.state, STATE_ALL);
    return stop;
}

static void stops(bool step, enum debug_why why, uint64_t rip)
{
    enum stop stop = go(step);

    if (stop != STOP_DEBUG)
        fail_msg("ended (%d) at %llx: %s", stop,
                 (unsigned long long)t.state.rip, t.v->fault.text);
    assert_int_equal(t.v->debug.stop.why, why);
    assert_int_equal(t.state.rip, rip);
}

static void steps_to(uint64_t rip)
{
    stops(true, DEBUG_STEPPED, rip);
}

static void halts_at(uint64_t rip)
{
    assert_int_equal(go(false), STOP_HALT);
    assert_int_equal(t.state.rip, rip);
}

static void put_rip(uint64_t rip)
{
    t.state.rip = rip;
    t.state.activity = CPU_RUNNING;
    t.engine->set(t.v, &t.state, STATE_ALL);
}

/* --- the tests --- */

static const uint8_t loop[] = {
    0xb9, 0xe8, 3,    0, 0, /* 00: mov ecx, 1000 */
    0x48, 0xff, 0xc0,       /* 05: inc rax */
    0x48, 0xff, 0xc9,       /* 08: dec rcx */
    0x75, 0xf8,             /* 0b: jnz 05 */
    0xf4,                   /* 0d: hlt */
};

static void points_stop(void)
{
    code(loop, sizeof loop);
    halts_at(CODE_AT + sizeof loop); /* it may be translated by now */
    assert_int_equal(t.state.gpr[RAX], 1000);
    put_rip(CODE_AT);
    point(DEBUG_CODE, CODE_AT + 8, 1);
    for (unsigned n = 1; n < 20; n++) {
        stops(false, DEBUG_POINT, CODE_AT + 8);
        assert_int_equal(t.v->debug.stop.address, CODE_AT + 8);
        assert_int_equal(t.v->debug.stop.kind, DEBUG_CODE);
        assert_int_equal(t.state.gpr[RAX], 1000 + n);
        stops(false, DEBUG_POINT, CODE_AT + 8); /* also at once */
        steps_to(CODE_AT + 0xb);
    }
    no_points();
    halts_at(CODE_AT + sizeof loop);
    assert_int_equal(t.state.gpr[RAX], 2000);
    put_rip(CODE_AT);
    point(DEBUG_CODE, CODE_AT, 1); /* a block's first */
    stops(false, DEBUG_POINT, CODE_AT);
    no_points();
    point(DEBUG_CODE, CODE_AT + 0xd, 1); /* and last */
    stops(false, DEBUG_POINT, CODE_AT + 0xd);
    assert_int_equal(t.state.gpr[RAX], 3000);
}

/* The same memory, elsewhere: a point is a linear address. */
static void points_are_linear(void)
{
    code(loop, sizeof loop);
    point(DEBUG_CODE, ALIAS + CODE_AT + 8, 1);
    halts_at(CODE_AT + sizeof loop);
    put_rip(ALIAS + CODE_AT);
    stops(false, DEBUG_POINT, ALIAS + CODE_AT + 8);
    no_points();
    point(DEBUG_CODE, CODE_AT + 8, 1);
    halts_at(ALIAS + CODE_AT + sizeof loop);
    put_rip(CODE_AT);
    stops(false, DEBUG_POINT, CODE_AT + 8);
}

static void code_changes_under_points(void)
{
    code(loop, sizeof loop);
    point(DEBUG_CODE, CODE_AT + 8, 1);
    stops(false, DEBUG_POINT, CODE_AT + 8);
    CODE(0xb9, 1, 0, 0, 0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc8, 0xf4);
    put_rip(CODE_AT);
    stops(false, DEBUG_POINT, CODE_AT + 8);
    no_points();
    halts_at(CODE_AT + 12);
}

static void steps(void)
{
    CODE(0x90,             /* 0: nop */
         0xeb, 0x01,       /* 1: jmp 4 */
         0xf4,             /* 3 */
         0xb9, 3, 0, 0, 0, /* 4: mov ecx, 3 */
         0xf3, 0xa4,       /* 9: rep movsb */
         0x8e, 0xd2,       /* b: mov ss, edx */
         0x90,             /* d */
         0x0f, 0x0b);      /* e: ud2 */
    t.state.gpr[RDX] = KERNEL_SS;
    put_rip(CODE_AT);
    steps_to(CODE_AT + 1);
    steps_to(CODE_AT + 4);
    steps_to(CODE_AT + 9);
    if (is_kvm()) /* the rest is as the CPU has it */
        return;
    for (unsigned n = 2; n; n--) { /* repetition by repetition */
        steps_to(CODE_AT + 9);
        assert_int_equal(t.state.gpr[RCX], n);
    }
    steps_to(CODE_AT + 0xb);
    steps_to(CODE_AT + 0xd); /* in its shadow, too */
    steps_to(CODE_AT + 0xe);
    steps_to(STUBS_AT + 16 * VECTOR_UD);
    steps_to(STUBS_AT + 16 * VECTOR_UD + 1);
    assert_int_equal(t.state.activity, CPU_HALTED);
}

static void steps_over_ports(void)
{
    CODE(0xe6, 0x80, 0x90, 0xe4, 0x80, 0xb0, 1); /* out; nop; in; mov al, 1 */
    steps_to(CODE_AT + 2);
    steps_to(CODE_AT + 3);
    t.state.gpr[RAX] = 0;
    put_rip(CODE_AT + 3);
    steps_to(CODE_AT + 5);
    assert_int_equal(t.state.gpr[RAX], 0xff);
    steps_to(CODE_AT + 7);
}

/* Debug registers, TF and INT3 are the guest's. */
static void guest_keeps_its_own(void)
{
    CODE(0xcc,                   /* 0: int3 */
         0x90, 0x90, 0x90, 0x90, /* 1 */
         0x0f, 0x21, 0xf8,       /* 5: mov rax, dr7 */
         0x0f, 0x21, 0xc3,       /* 8: mov rbx, dr0 */
         0x0f, 0x21, 0xf1,       /* b: mov rcx, dr6 */
         0xf4);
    point(DEBUG_CODE, CODE_AT + 5, 1);
    halts_at(STUBS_AT + 16 * VECTOR_BP + 1);
    t.state.rflags |= FLAG_TF;
    put_rip(CODE_AT + 1);
    steps_to(CODE_AT + 2);
    steps_to(STUBS_AT + 16 * VECTOR_DB);
    t.state.rflags &= ~(uint64_t)FLAG_TF;
    t.state.dr[0] = CODE_AT + 3;
    t.state.dr[7] |= 1;
    put_rip(CODE_AT + 2);
    halts_at(STUBS_AT + 16 * VECTOR_DB + 1);
    t.state.dr[0] = 0x1234;
    t.state.dr[6] = 0xffff0ff0;
    put_rip(CODE_AT + 3);
    stops(false, DEBUG_POINT, CODE_AT + 5);
    for (unsigned rip = 8; rip <= 0xe; rip += 3)
        steps_to(CODE_AT + rip);
    assert_int_equal(t.state.gpr[RAX], t.state.dr[7]);
    assert_int_equal(t.state.gpr[RBX], 0x1234);
    assert_int_equal(t.state.gpr[RCX], 0xffff0ff0);
}

static void watches(void)
{
    static const uint8_t body[] = {
        0x8a, 0x07,                /* 0: mov al, [rdi] */
        0x88, 0x47, 0x08,          /* 2: mov [rdi + 8], al */
        0x48, 0x89, 0x47, 0x04,    /* 5: mov [rdi + 4], rax */
        0xb9, 0x20, 0,    0,    0, /* 9: mov ecx, 32 */
        0xf3, 0xaa,                /* e: rep stosb */
        0xf4,                      /* 10 */
    };

    code(body, sizeof body);
    halts_at(CODE_AT + sizeof body); /* its TLB is filled */
    t.state.gpr[RDI] = DATA_AT;
    put_rip(CODE_AT);
    point(DEBUG_WRITE, DATA_AT + 8, 1);
    stops(false, DEBUG_POINT, CODE_AT + 5);
    assert_int_equal(t.v->debug.stop.address, DATA_AT + 8);
    assert_int_equal(t.v->debug.stop.kind, DEBUG_WRITE);
    stops(false, DEBUG_POINT, CODE_AT + 9);
    stops(false, DEBUG_POINT, CODE_AT + 0xe); /* in the middle */
    assert_int_equal(t.state.gpr[RDI], DATA_AT + 9);
    halts_at(CODE_AT + sizeof body);
    no_points();
    t.state.gpr[RDI] = DATA_AT;
    put_rip(CODE_AT);
    point(DEBUG_READ, DATA_AT, 2);
    stops(false, DEBUG_POINT, CODE_AT + 2);
    halts_at(CODE_AT + sizeof body);
    no_points();
    t.state.gpr[RDI] = DATA_AT;
    put_rip(CODE_AT);
    point(DEBUG_ACCESS, DATA_AT, 2);
    stops(false, DEBUG_POINT, CODE_AT + 2);
    stops(false, DEBUG_POINT, CODE_AT + 0xe);
    no_points();
    halts_at(CODE_AT + sizeof body);
}

/* By code that was translated, on a page that had an entry in the TLB; and by
   a block's last instruction. */
static void watches_stop_loops(void)
{
    CODE(0x88, 0x07,                    /* 0: mov [rdi], al */
         0x48, 0xff, 0xc7,              /* 2: inc rdi */
         0xeb, 0xf9,                    /* 5: jmp 0 */
         0xe8, 0x00, 0x00, 0, 0,        /* 7: call c */
         0xe8, 0xf6, 0xff, 0xff, 0xff); /* c: call 7 */
    halts_at(STUBS_AT + 16 * 14 + 1);   /* at memory that is read-only */
    assert_int_equal(t.state.cr2, DATA_RO);
    point(DEBUG_WRITE, DATA_AT + 0x1808, 1);
    for (unsigned n = 0; n < 3; n++) {
        t.state.gpr[RDI] = DATA_AT;
        put_rip(CODE_AT);
        stops(false, DEBUG_POINT, CODE_AT + 2);
        assert_int_equal(t.state.gpr[RDI], DATA_AT + 0x1808);
    }
    halts_at(STUBS_AT + 16 * 14 + 1);
    no_points();
    t.state.gpr[RSP] = DATA_AT + 0x800;
    put_rip(CODE_AT + 7);
    point(DEBUG_WRITE, DATA_AT + 0x700, 8);
    stops(false, DEBUG_POINT, CODE_AT + 7);
    assert_int_equal(t.state.gpr[RSP], DATA_AT + 0x700);
    steps_to(CODE_AT + 0xc);
}

/* What faults has made no access. */
static void watched_fault(void)
{
    CODE(0x88, 0x07); /* mov [rdi], al */
    t.state.gpr[RDI] = DATA_HOLE;
    put_rip(CODE_AT);
    point(DEBUG_WRITE, DATA_HOLE, 8);
    halts_at(STUBS_AT + 16 * 14 + 1);
}

static int acknowledge(void *intc)
{
    struct vcpu *v = intc;

    vcpu_lower(v, VCPU_INTR);
    return VECTOR_TIMER;
}

static bool no_msr(void *ctx, uint32_t msr, uint64_t *v)
{
    (void)ctx;
    (void)msr;
    (void)v;
    return false;
}
static const struct intc_cpu_ops intc = {.ack = acknowledge,
                                         .read_msr = no_msr};

static void interrupts_wait(void)
{
    CODE(0x90, 0x90, 0xf4, 0x90);
    t.v->intc = &intc;
    t.v->intc_ctx = t.v;
    t.state.rflags |= FLAG_IF;
    put_rip(CODE_AT);
    vcpu_raise(t.v, VCPU_INTR);
    steps_to(CODE_AT + 1);
    t.v->debug.held = 0;
    t.v->debug.step = true; /* a monitor's wish: they are taken */
    t.engine->debug(t.v, NULL);
    assert_int_equal(t.engine->run(t.v), STOP_DEBUG);
    t.engine->get(t.v, &t.state, STATE_ALL);
    assert_int_equal(t.state.rip, STUBS_AT + 16 * VECTOR_TIMER);
    t.state.rflags |= FLAG_IF;
    put_rip(CODE_AT + 2);
    steps_to(CODE_AT + 3); /* HLT is done */
    assert_int_equal(t.state.activity, CPU_HALTED);
    assert_int_equal(go(true), STOP_HALT);
    vcpu_raise(t.v, VCPU_INTR); /* and wakes */
    steps_to(STUBS_AT + 16 * VECTOR_TIMER);
}

/* Debuggers of 64-bit programs may extend the sign of 32-bit addresses. */
#define EXTENDED(a) (0xffffffff00000000ull | (a))

static void points_of_32_bits(void)
{
    CODE(0x40, 0x40, 0x40, 0xf4); /* inc eax */
    point(DEBUG_CODE, EXTENDED(CODE_AT + 1), 1);
    stops(false, DEBUG_POINT, CODE_AT + 1);
    no_points();
    steps_to(CODE_AT + 2);
}

static void watches_of_32_bits(void)
{
    CODE(0x40, 0xa2, 0, 0x40, 1, 0, 0xf4); /* inc eax; mov [DATA_AT], al */
    point(DEBUG_WRITE, EXTENDED(DATA_AT), 4);
    stops(false, DEBUG_POINT, CODE_AT + 6);
    steps_to(CODE_AT + 7);
}

/* More than there are debug registers: among NOPs. */
static void set_many_points(uint8_t nops[65])
{
    memset(nops, 0x90, 64);
    nops[64] = 0xf4;
    code(nops, 65);
    for (unsigned n = 0; n < 4; n++) /* so that none is left */
        point(DEBUG_WRITE, DATA_AT + 8 * n, 8);
    for (unsigned n = 1; n < 64; n += 3)
        point(DEBUG_CODE, CODE_AT + n, 1);
}

/* KVM's are in guest memory, as long as the guest runs. */
static void memory_is_as_it_was(void)
{
    uint8_t nops[65];

    set_many_points(nops);
    assert_int_equal(t.ram[CODE_AT + 1], is_kvm() ? 0xcc : 0x90);
    assert_int_equal(t.ram[CODE_AT + 2], 0x90);
    t.ram[CODE_AT + 4] = 0x91; /* what the guest writes stays */
    t.v->debug.points = NULL;
    t.engine->debug(t.v, NULL);
    nops[4] = 0x91;
    assert_memory_equal(t.ram + CODE_AT, nops, sizeof nops);
}

static void many_points(void)
{
    uint8_t nops[65];

    set_many_points(nops);
    for (unsigned n = 1; n < 64; n += 3) {
        stops(false, DEBUG_POINT, CODE_AT + n);
        assert_int_equal(t.v->debug.stop.address, CODE_AT + n);
        put_rip(CODE_AT + n + 1);
    }
    t.v->debug.points = NULL;
    t.engine->debug(t.v, NULL);
    halts_at(CODE_AT + sizeof nops);
}

/* What every engine can: aligned, of a single access. */
static void plain_watches(void)
{
    CODE(0x48, 0x89, 0x07, /* 0: mov [rdi], rax */
         0x8a, 0x47, 0x09, /* 3: mov al, [rdi + 9] */
         0x89, 0x47, 0x08, /* 6: mov [rdi + 8], eax */
         0xf4);
    point(DEBUG_WRITE, DATA_AT + 8, 4);
    stops(false, DEBUG_POINT, CODE_AT + 9);
    assert_int_equal(t.v->debug.stop.kind, DEBUG_WRITE);
    assert_int_equal(t.v->debug.stop.address, DATA_AT + 8);
    no_points();
    point(DEBUG_ACCESS, DATA_AT + 8, 4);
    put_rip(CODE_AT);
    stops(false, DEBUG_POINT, CODE_AT + 6);
    stops(false, DEBUG_POINT, CODE_AT + 9);
    halts_at(CODE_AT + 10);
}

/* --- each under each engine --- */

static const struct {
    const char *name;
    const struct engine_ops *engine;
    uint32_t stress;
} engines[] = {
    {"interp", &engine_interp, 0},
    {"jit", &engine_jit, 0},
    {"jit, eager", &engine_jit, STRESS_EAGER},
#ifdef HAVE_KVM
    {"kvm", &engine_kvm, 0},
#endif
};

/*
 * What a kvm must be able to do for a test. Hardware can do all of it. A KVM by
 * page tables emulates instructions that do not look at debug registers, and
 * knows no INT3; QEMU's emulation of AMD-V only steps.
 */
enum need { NOTHING, REGISTERS = 1, INT3S = 2, ACCESSES = 4, OURS = 8 };

#ifdef HAVE_KVM
static bool is_emulated(void)
{
    unsigned a, b = 0, c = 0, d = 0;

    __cpuid(0x40000000, a, b, c, d);
    return b == 0x54474354 && c == 0x43544743; /* "TCGTCGTC" */
}
#endif

/* False: it is not here, or cannot. */
static bool can(const struct engine_ops *engine, unsigned needs)
{
    struct engine_caps caps = {0};

    if (engine->probe(&caps))
        return false;
#ifdef HAVE_KVM
    if (engine == &engine_kvm) {
        unsigned has = !caps.stock_guests ? REGISTERS
                       : is_emulated()    ? NOTHING
                                          : REGISTERS | INT3S | ACCESSES;

        return !(needs & ~has);
    }
#endif
    return true;
}

static void each(void (*test)(void), enum case_mode mode, unsigned needs)
{
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++) {
        if (!can(engines[n].engine, needs))
            continue;
        print_message("%s\n", engines[n].name);
        set_up(engines[n].engine, engines[n].stress, mode);
        test();
        vm_destroy(t.vm);
    }
}

#define EACH(name, mode, needs)                                                \
    static void test_##name(void **state)                                      \
    {                                                                          \
        (void)state;                                                           \
        each(name, mode, needs);                                               \
    }
EACH(points_stop, CASE_64_KERNEL, REGISTERS)
EACH(points_are_linear, CASE_64_KERNEL, REGISTERS)
EACH(code_changes_under_points, CASE_64_KERNEL, REGISTERS)
EACH(steps, CASE_64_KERNEL, NOTHING)
EACH(steps_over_ports, CASE_64_KERNEL, NOTHING)
EACH(guest_keeps_its_own, CASE_64_KERNEL, OURS)
EACH(watches, CASE_64_KERNEL, OURS)
EACH(watches_stop_loops, CASE_64_KERNEL, OURS)
EACH(watched_fault, CASE_64_KERNEL, OURS)
EACH(interrupts_wait, CASE_64_KERNEL, OURS)
EACH(points_of_32_bits, CASE_32_FLAT, REGISTERS)
EACH(watches_of_32_bits, CASE_32_FLAT, ACCESSES)
EACH(memory_is_as_it_was, CASE_64_KERNEL, NOTHING)
EACH(many_points, CASE_64_KERNEL, INT3S)
EACH(plain_watches, CASE_64_KERNEL, ACCESSES)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_stop),
        cmocka_unit_test(test_points_are_linear),
        cmocka_unit_test(test_code_changes_under_points),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_steps_over_ports),
        cmocka_unit_test(test_guest_keeps_its_own),
        cmocka_unit_test(test_watches),
        cmocka_unit_test(test_watches_stop_loops),
        cmocka_unit_test(test_watched_fault),
        cmocka_unit_test(test_interrupts_wait),
        cmocka_unit_test(test_points_of_32_bits),
        cmocka_unit_test(test_watches_of_32_bits),
        cmocka_unit_test(test_memory_is_as_it_was),
        cmocka_unit_test(test_many_points),
        cmocka_unit_test(test_plain_watches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
