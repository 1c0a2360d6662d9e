/*
 * A bare CPU with a little RAM, a GDT, an IDT and TSSs in it, that runs one
 * instruction at a time as an engine would: for tests of the system side.
 */
#ifndef CPU_BENCH_H
#define CPU_BENCH_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "x86/flags.h"
#include "x86/opcode.h"
#include "x86/system.h"

/* Where things are in RAM. */
enum {
    GDT = 0x1000,
    IDT = 0x2000,
    TSS = 0x4000,
    TSS16 = 0x5000,
    TSS_B = 0x5800,
    LDT = 0x6000,
    CODE = 0x10000,
    DATA = 0x20000,
    STACK0 = 0x30000,
    STACK3 = 0x38000,
    STACK1 = 0x34000,
    STACK_IST = 0x3c000,
    PML4 = 0x70000,
    PDPT = 0x71000,
    PD = 0x72000,
    PDPT_PAE = 0x73000,
    HANDLER = 0x18000,
    RAM_SIZE = 4 << 20,
};

/* Types of gates. */
enum {
    INT32G = 0x8e,
    TRAP32G = 0x8f,
    INT16G = 0x86,
    TRAP16G = 0x87,
    TASKG = 0x85,
    G_DPL3 = 0x60,
};

/* Selectors in the GDT. */
enum {
    SEL_CODE0 = 0x08,
    SEL_DATA0 = 0x10,
    SEL_CODE3 = 0x1b,
    SEL_DATA3 = 0x23,
    SEL_CODE16 = 0x28,
    SEL_DATA16 = 0x30,
    SEL_CODE64 = 0x38,
    SEL_TSS = 0x40,
    SEL_CODE64_3 = 0x53,
    SEL_CONF = 0x58,
    SEL_CODE1 = 0x61,
    SEL_DATA1 = 0x69,
    SEL_TSS16 = 0x70,
    SEL_TSS_B = 0x78,
    SEL_LDT = 0x80,
    SEL_ROM = 0x90,
    SEL_DOWN = 0x98,
    SEL_XONLY = 0xa0,
    SEL_ABSENT = 0xa8,
    SEL_GATE = 0xb0,
    SEL_STACK16 = 0xc0,
    SEL_FREE = 0xd0,
    GDT_LIMIT = 0xff,
};

enum {
    A_CODE = 0x9b,
    A_DATA = 0x93,
    A_TSS = 0x89,
    A_LDT = 0x82,
    A_DPL3 = 0x60,
    A_DPL1 = 0x20,
    F_32 = 0xc,
    F_16 = 0x0,
    F_64 = 0xa,
};

struct bench {
    struct cpu c;
    struct vcpu v;
    struct cpu_model model;
    struct host_mutex lock;
    struct region ram_region;
    struct space *mem, *io;
    uint8_t *ram;
    struct insn insn;
    /* the interrupt controller's double */
    int vector; /* next to acknowledge, -1 none */
    uint8_t tpr;
    unsigned acks;
    /* what the last run came to */
    enum unwind how;
};

/* --- memory --- */

static inline uint64_t peek(struct bench *b, uint64_t a, unsigned n)
{
    return load_le(b->ram + a, n);
}

static inline void poke(struct bench *b, uint64_t a, uint64_t v, unsigned n)
{
    store_le(b->ram + a, v, n);
}

static inline void bench_desc(struct bench *b, unsigned sel, uint64_t base,
                              uint32_t limit, unsigned access, unsigned flags)
{
    uint64_t d = (limit & 0xffff) | (base & 0xffffff) << 16 |
                 (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
                 (uint64_t)flags << 52 | (base >> 24 & 0xff) << 56;

    poke(b, GDT + (sel & ~7u), d, 8);
}

/* A gate in the IDT; attr: P, DPL and type. */
static inline void bench_gate_at(struct bench *b, uint64_t at, unsigned attr,
                                 unsigned sel, uint64_t offset, unsigned low5)
{
    uint64_t d = (offset & 0xffff) | (uint64_t)sel << 16 |
                 (uint64_t)low5 << 32 | (uint64_t)attr << 40 |
                 (offset >> 16 & 0xffff) << 48;

    poke(b, at, d, 8);
}

static inline void bench_idt(struct bench *b, unsigned vector, unsigned attr,
                             unsigned sel, uint64_t offset)
{
    bench_gate_at(b, IDT + 8 * vector, attr, sel, offset, 0);
}

static inline void bench_idt64(struct bench *b, unsigned vector, unsigned attr,
                               unsigned sel, uint64_t offset, unsigned ist)
{
    bench_gate_at(b, IDT + 16 * vector, attr, sel, offset, ist);
    poke(b, IDT + 16 * vector + 8, offset >> 32, 8);
}

static inline unsigned bench_access(struct bench *b, unsigned sel)
{
    return (unsigned)peek(b, GDT + (sel & ~7u) + 5, 1);
}

/* --- making one --- */

static inline int bench_ack(void *ctx)
{
    struct bench *b = ctx;
    int vector = b->vector;

    b->acks++;
    b->vector = -1;
    atomic_fetch_and(&b->v.events, ~(uint32_t)VCPU_INTR);
    return vector;
}

static inline uint8_t bench_get_tpr(void *ctx)
{
    return ((struct bench *)ctx)->tpr;
}

static inline void bench_set_tpr(void *ctx, uint8_t tpr)
{
    ((struct bench *)ctx)->tpr = tpr;
}

static const struct intc_cpu_ops bench_intc = {
    .ack = bench_ack, .get_tpr = bench_get_tpr, .set_tpr = bench_set_tpr};

static inline void bench_tables(struct bench *b)
{
    bench_desc(b, SEL_CODE0, 0, 0xfffff, A_CODE, F_32);
    bench_desc(b, SEL_DATA0, 0, 0xfffff, A_DATA, F_32);
    bench_desc(b, SEL_CODE3, 0, 0xfffff, A_CODE | A_DPL3, F_32);
    bench_desc(b, SEL_DATA3, 0, 0xfffff, A_DATA | A_DPL3, F_32);
    bench_desc(b, SEL_CODE16, 0, 0xffff, A_CODE, F_16);
    bench_desc(b, SEL_DATA16, 0, 0xffff, A_DATA, F_16);
    bench_desc(b, SEL_CODE64, 0, 0xfffff, A_CODE, F_64);
    bench_desc(b, SEL_CODE64_3, 0, 0xfffff, A_CODE | A_DPL3, F_64);
    bench_desc(b, SEL_CONF, 0, 0xfffff, A_CODE | 4, F_32);
    bench_desc(b, SEL_CODE1, 0, 0xfffff, A_CODE | A_DPL1, F_32);
    bench_desc(b, SEL_DATA1, 0, 0xfffff, A_DATA | A_DPL1, F_32);
    bench_desc(b, SEL_TSS, TSS, 0x7ff, A_TSS | 2, 0); /* busy: in TR */
    bench_desc(b, SEL_TSS16, TSS16, 43, 0x81, 0);
    bench_desc(b, SEL_TSS_B, TSS_B, 103, A_TSS, 0);
    bench_desc(b, SEL_LDT, LDT, 0x3f, A_LDT, 0);
    bench_desc(b, SEL_ROM, DATA, 0xffff, 0x91, F_16);
    bench_desc(b, SEL_DOWN, 0, 0xfff, 0x97, F_16); /* above 0xfff */
    bench_desc(b, SEL_XONLY, 0, 0xfffff, 0x99, F_32);
    bench_desc(b, SEL_ABSENT, 0, 0xfffff, 0x13, F_32);
    bench_desc(b, SEL_STACK16, STACK0 - 0x8000, 0xffff, A_DATA, F_16);
    poke(b, TSS + 4, STACK0, 4);
    poke(b, TSS + 8, SEL_DATA0, 2);
    poke(b, TSS + 12, STACK1, 4);
    poke(b, TSS + 16, SEL_DATA1, 2);
    poke(b, TSS + 0x66, 0x68, 2);
}

static inline struct bench *bench_new(void)
{
    struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);

    memset(b, 0, sizeof(*b));
    b->ram = calloc(1, RAM_SIZE);
    b->mem = space_create(0, NULL);
    b->io = space_create(0x10000, NULL);
    b->ram_region =
        (struct region){.name = "ram", .size = RAM_SIZE, .ram = b->ram};
    space_map(b->mem, 0, &b->ram_region, 0);
    for (unsigned f = 1; f < FEAT_COUNT; f++)
        feature_set(&b->model.features, (enum x86_feature)f, true);
    b->model.phys_bits = 40;
    b->model.linear_bits = 48;
    b->model.family = 6;
    b->model.model = 0x9e;
    b->model.stepping = 3;
    b->model.tsc_hz = 1000000000;
    b->model.ncpus = 1;
    b->model.xcr0_mask = 0xe7;
    host_mutex_init(&b->lock);
    host_event_init(&b->v.wake);
    b->v.mem = b->mem;
    b->v.io = b->io;
    b->v.lock = &b->lock;
    b->v.intc = &bench_intc;
    b->v.intc_ctx = b;
    b->v.model = &b->model;
    atomic_store(&b->v.a20_mask, ~0ull);
    b->vector = -1;
    b->c.vcpu = &b->v;
    b->c.model = &b->model;
    bench_tables(b);
    x86_reset(&b->c, false);
    b->c.s.gdt = (struct x86_table){.base = GDT, .limit = GDT_LIMIT};
    b->c.s.idt = (struct x86_table){.base = 0, .limit = 0x3ff};
    return b;
}

static inline void bench_free(struct bench *b)
{
    space_destroy(b->mem);
    space_destroy(b->io);
    host_event_destroy(&b->v.wake);
    host_mutex_destroy(&b->lock);
    free(b->ram);
    free(b);
}

static inline int bench_setup(void **state)
{
    *state = bench_new();
    return 0;
}

static inline int bench_teardown(void **state)
{
    bench_free(*state);
    return 0;
}

#define BENCH_TEST(f)                                                          \
    cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

/* --- modes --- */

static inline struct x86_seg bench_segment(struct bench *b, unsigned sel)
{
    return desc_segment((uint16_t)sel, peek(b, GDT + (sel & ~7u), 8));
}

static inline void bench_segments(struct bench *b, unsigned code, unsigned ss,
                                  unsigned data)
{
    struct x86_state *s = &b->c.s;

    s->seg[CS] = bench_segment(b, code);
    s->seg[SS] = bench_segment(b, ss);
    s->seg[DS] = s->seg[ES] = s->seg[FS] = s->seg[GS] = bench_segment(b, data);
}

static inline void bench_real(struct bench *b)
{
    struct x86_state *s = &b->c.s;

    s->seg[CS].sel = CODE >> 4;
    s->seg[CS].base = CODE;
    s->seg[SS].sel = 0x2000;
    s->seg[SS].base = DATA;
    s->gpr[RSP] = 0x1000;
    s->rip = 0x100;
    x86_mode_changed(&b->c);
}

static inline void bench_common(struct bench *b)
{
    struct x86_state *s = &b->c.s;

    s->idt = (struct x86_table){.base = IDT, .limit = 0x7ff};
    s->tr = bench_segment(b, SEL_TSS);
    s->ldt = seg_null(0, 0);
    s->cr0 |= CR0_PE;
    flags_set(&b->c, FLAG_1);
    s->rip = CODE;
    x86_mode_changed(&b->c);
    tlb_flush_all(&b->c);
}

static inline void bench_protected(struct bench *b, unsigned cpl)
{
    if (cpl == 0)
        bench_segments(b, SEL_CODE0, SEL_DATA0, SEL_DATA0);
    else
        bench_segments(b, SEL_CODE3, SEL_DATA3, SEL_DATA3);
    b->c.s.gpr[RSP] = cpl ? STACK3 : STACK0 - 0x100;
    bench_common(b);
}

static inline void bench_vm86(struct bench *b, unsigned iopl)
{
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->rflags = FLAG_1 | FLAG_VM | FLAG_IF | iopl << 12;
    x86_mode_changed(&b->c);
    for (unsigned n = 0; n < 6; n++)
        s->seg[n] = seg_real(&b->c, n, (uint16_t)(0x1000 + n));
    s->seg[SS] = seg_real(&b->c, SS, 0x2000);
    s->gpr[RSP] = 0x1000;
    s->rip = 0x100;
    x86_mode_changed(&b->c);
}

/* The first 1 GB mapped one to one by 2 MB pages for everyone, and again at
   the top of the address space. */
static inline void bench_long(struct bench *b, unsigned cpl)
{
    struct x86_state *s = &b->c.s;

    poke(b, PML4, PDPT | 7, 8);
    poke(b, PML4 + 8 * 511, PDPT | 7, 8);
    poke(b, PDPT, PD | 7, 8);
    poke(b, PDPT + 8 * 511, PD | 7, 8);
    for (unsigned n = 0; n < 512; n++)
        poke(b, PD + 8 * n, (uint64_t)n << 21 | 0x87, 8);
    poke(b, TSS + 4, STACK0, 8);
    poke(b, TSS + 12, STACK1, 8);
    poke(b, TSS + 36, STACK_IST, 8); /* IST1 */
    if (cpl == 0)
        bench_segments(b, SEL_CODE64, SEL_DATA0, SEL_DATA0);
    else
        bench_segments(b, SEL_CODE64_3, SEL_DATA3, SEL_DATA3);
    s->gpr[RSP] = cpl ? STACK3 : STACK0 - 0x100;
    s->cr0 |= CR0_PG | CR0_PE;
    s->cr4 |= CR4_PAE;
    s->efer = EFER_LME | EFER_LMA | EFER_SCE;
    s->cr3 = PML4;
    bench_common(b);
    s->idt.limit = 0xfff;
}

/* --- running --- */

static inline enum decode_mode bench_decode_mode(const struct cpu *c)
{
    switch (c->mode_key & MODE_CODE) {
    case MODE_CODE64: return DECODE_64;
    case MODE_CODE32: return DECODE_32;
    default: return DECODE_16;
    }
}

static void __attribute__((noinline))
bench_call(struct bench *b, void (*fn)(struct bench *))
{
    b->how = UNWIND_NONE;
    b->c.unwind = UNWIND_NONE;
    if (__builtin_setjmp(b->c.unwind_buf) == 0) {
        fn(b);
        __asm__ volatile("" ::: "memory"); /* no tail call: our frame lives */
        return;
    }
    b->how = (enum unwind)b->c.unwind;
}

static inline void bench_call_insn(struct bench *b)
{
    x86_check_row(&b->c, &b->insn);
    b->insn.fn(&b->c, &b->insn);
}

static inline void bench_call_deliver(struct bench *b)
{
    x86_deliver(&b->c);
}

static inline void bench_call_events(struct bench *b)
{
    x86_take_events(&b->c);
}

/* Runs one instruction of n bytes at s.rip; b->how says what came of it, and
   c.exc, not yet delivered, if that is UNWIND_EXCEPTION. */
static inline void bench_run(struct bench *b, const void *bytes, size_t n)
{
    struct cpu *c = &b->c;
    bool stepping = c->s.rflags & FLAG_TF;
    bool shadow = c->s.sti_shadow || c->s.movss_shadow;

    assert_int_equal(x86_decode(&b->insn, bytes, n, bench_decode_mode(c)),
                     DECODE_OK);
    assert_int_equal(b->insn.len, n);
    c->s.rflags &= ~(uint64_t)FLAG_RF;
    b->insn.pos = 0;
    c->block_rip = c->s.rip;
    c->s.rip += n;
    c->insn = &b->insn;
    bench_call(b, bench_call_insn);
    if (b->how == UNWIND_EXCEPTION && c->insn)
        c->s.rip = c->block_rip;
    if (b->how == UNWIND_NONE && stepping)
        c->s.pending_db |= DR6_BS;
    if (b->how == UNWIND_NONE && shadow)
        c->s.sti_shadow = c->s.movss_shadow = false;
    c->insn = NULL;
}

/* Delivers c.exc, and what comes of that, until a handler is entered or the
   CPU shuts down. */
static inline void bench_deliver(struct bench *b)
{
    do
        bench_call(b, bench_call_deliver);
    while (b->how == UNWIND_EXCEPTION);
}

static inline void bench_events(struct bench *b)
{
    bench_call(b, bench_call_events);
    if (b->how == UNWIND_EXCEPTION)
        bench_deliver(b);
}

/* An exception out of the blue at s.rip. */
static inline void bench_raise(struct bench *b, unsigned vector)
{
    bool error = vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF);

    b->c.exc = (struct x86_exception){
        .vector = (uint8_t)vector, .has_error = error, .error = 0x5678};
    b->c.delivering = -1;
    bench_deliver(b);
}

#define RUN(b, ...)                                                            \
    bench_run(b, (const uint8_t[]){__VA_ARGS__},                               \
              sizeof((const uint8_t[]){__VA_ARGS__}))

#define ASSERT_OK(b) assert_int_equal((b)->how, UNWIND_NONE)
#define ASSERT_FAULT(b, v, e)                                                  \
    do {                                                                       \
        assert_int_equal((b)->how, UNWIND_EXCEPTION);                          \
        assert_int_equal((b)->c.exc.vector, v);                                \
        assert_int_equal((b)->c.exc.error, e);                                 \
    } while (0)
#define ASSERT_UD(b)    ASSERT_FAULT(b, EXC_UD, 0)
#define ASSERT_GP(b, e) ASSERT_FAULT(b, EXC_GP, e)

#endif
