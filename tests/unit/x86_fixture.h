/*
 * A CPU with a little RAM for tests of instruction bodies: bytes are decoded
 * and run, faults come back as a vector. In 64-bit mode the guest sees its RAM
 * at the address where the host has it, so that the same bytes can run on
 * both with the same registers.
 */
#ifndef TESTS_X86_FIXTURE_H
#define TESTS_X86_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lodge/engine.h"
#include "x86/flags.h"
#include "x86/opcode.h"
#include "x86/operand.h"

enum {
    RAM_SIZE = 2 << 20,
    /* Of the guest's: page tables, then what tests use from here. */
    TABLES = 0x1000,
    DATA = 0x10000,
    CODE = 0x8000,    /* nothing is fetched from there */
    HOLE = 0x80000,   /* page not present in 64-bit mode */
    FROZEN = 0x81000, /* page not writable */
    RAN = -1,         /* no exception */
    RESTART = -2,     /* UNWIND_RESTART */
};

static struct {
    struct cpu *cpu;
    struct cpu_model model;
    struct vcpu vcpu;
    struct host_mutex lock;
    struct space *mem, *io;
    struct region ram;
    uint8_t *host; /* RAM, 2 MB aligned */
    struct insn insn;
    enum decode_mode mode;
} fx;

UNUSED static uint64_t fx_random(void)
{
    static uint64_t s = 0x9e3779b97f4a7c15;

    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return s;
}

static void fx_segment(unsigned n, uint16_t sel, uint64_t base, uint32_t limit,
                       uint32_t attr)
{
    fx.cpu->s.seg[n] = (struct x86_seg){base, limit, attr, sel};
}

static void fx_flat(uint32_t code_attr, unsigned cpl)
{
    uint32_t dpl = cpl << SEG_DPL_SHIFT;

    fx_segment(CS, (uint16_t)(0x8 | cpl), 0, 0xffffffff,
               0x809b | dpl | code_attr);
    for (unsigned n = 0; n < 6; n++)
        if (n != CS)
            fx_segment(n, (uint16_t)(0x10 | cpl), 0, 0xffffffff, 0xc093 | dpl);
    fx.cpu->s.cpl = (uint8_t)cpl;
}

/* 64-bit code: linear addresses of RAM are host addresses. */
UNUSED static void fx_mode64(unsigned cpl)
{
    uint64_t a = (uint64_t)(uintptr_t)fx.host;
    struct x86_state *s = &fx.cpu->s;

    store_le64(fx.host + TABLES + (a >> 39 & 511) * 8, (TABLES + 0x1000) | 7);
    store_le64(fx.host + TABLES + 0x1000 + (a >> 30 & 511) * 8,
               (TABLES + 0x2000) | 7);
    store_le64(fx.host + TABLES + 0x2000 + (a >> 21 & 511) * 8,
               (TABLES + 0x3000) | 7);
    for (unsigned p = 0; p < 512; p++)
        store_le64(fx.host + TABLES + 0x3000 + p * 8,
                   (uint64_t)p << 12 | (p == HOLE >> 12     ? 0
                                        : p == FROZEN >> 12 ? 5
                                                            : 7));
    s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    s->cr3 = TABLES;
    fx_flat(SEG_L, cpl);
    fx.mode = DECODE_64;
    fx.cpu->mode_key = MODE_CODE64 | MODE_PE | MODE_LMA | MODE_SS32 |
                       MODE_FLAT | MODE_PG | cpl << MODE_CPL_SHIFT;
    x86_mode_changed(fx.cpu);
    tlb_flush_all(fx.cpu);
}

/* Protected mode without paging, flat; D and SS.B by bits. */
UNUSED static void fx_protected(unsigned bits, unsigned cpl)
{
    struct x86_state *s = &fx.cpu->s;

    s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE;
    s->cr4 = s->efer = 0;
    fx_flat(bits == 32 ? SEG_DB : 0, cpl);
    if (bits == 16)
        for (unsigned n = 0; n < 6; n++)
            s->seg[n].attr &= ~(uint32_t)SEG_DB;
    fx.mode = bits == 32 ? DECODE_32 : DECODE_16;
    fx.cpu->mode_key = (bits == 32 ? MODE_CODE32 | MODE_SS32 : MODE_CODE16) |
                       MODE_PE | MODE_FLAT | cpl << MODE_CPL_SHIFT;
    x86_mode_changed(fx.cpu);
    tlb_flush_all(fx.cpu);
}

UNUSED static void fx_real(void)
{
    struct x86_state *s = &fx.cpu->s;

    s->cr0 = CR0_ET;
    s->cr4 = s->efer = 0;
    for (unsigned n = 0; n < 6; n++)
        fx_segment(n, 0, 0, 0xffff, n == CS ? 0x9b : 0x93);
    s->cpl = 0;
    fx.mode = DECODE_16;
    fx.cpu->mode_key = MODE_CODE16;
    x86_mode_changed(fx.cpu);
    tlb_flush_all(fx.cpu);
}

UNUSED static void fx_vm86(unsigned iopl)
{
    fx_real();
    fx.cpu->s.cr0 |= CR0_PE;
    for (unsigned n = 0; n < 6; n++)
        fx_segment(n, 0, 0, 0xffff, 0xf3);
    fx.cpu->s.cpl = 3;
    flags_set(fx.cpu, FLAG_1 | FLAG_VM | iopl << 12);
    fx.cpu->mode_key =
        MODE_CODE16 | MODE_PE | MODE_VM86 | MODE_CPL | (iopl << 17);
    x86_mode_changed(fx.cpu);
    tlb_flush_all(fx.cpu);
}

/*
 * Decodes and runs one instruction at CODE; RAN, RESTART or the vector of the
 * exception. s.rip is right afterwards in every case.
 */
static int fx_run_bytes(const uint8_t *bytes, size_t n)
{
    struct cpu *c = fx.cpu;

    if (x86_decode(&fx.insn, bytes, n, fx.mode) != DECODE_OK)
        fail_msg("%02x %02x %02x … does not decode", bytes[0], bytes[1],
                 bytes[2]);
    assert_int_equal(fx.insn.len, n);
    assert_non_null(fx.insn.fn);
    fx.insn.pos = 0;
    c->block_rip = CODE;
    c->insn = &fx.insn;
    c->unwind = UNWIND_NONE;
    c->s.rip = insn_next(c, &fx.insn);
    if (__builtin_setjmp(c->unwind_buf)) {
        if (c->unwind == UNWIND_RESTART)
            return RESTART;
        assert_int_equal(c->unwind, UNWIND_EXCEPTION);
        c->s.rip = CODE;
        return c->exc.vector;
    }
    fx.insn.fn(c, &fx.insn);
    return RAN;
}

#define fx_run(...)                                                            \
    fx_run_bytes((const uint8_t[]){__VA_ARGS__},                               \
                 sizeof((const uint8_t[]){__VA_ARGS__}))

/* Where RAM byte `at` is in the guest's linear space. */
UNUSED static gva_t fx_linear(uint64_t at)
{
    return fx.mode == DECODE_64 ? (uint64_t)(uintptr_t)fx.host + at : at;
}

static int fx_setup(void **state)
{
    (void)state;
    fx.cpu = aligned_alloc(64, (sizeof *fx.cpu + 63) / 64 * 64);
    fx.host = aligned_alloc(RAM_SIZE, RAM_SIZE);
    if (!fx.cpu || !fx.host)
        return -1;
    memset(fx.cpu, 0, sizeof *fx.cpu);
    memset(fx.host, 0, RAM_SIZE);
    for (unsigned f = 1; f < FEAT_COUNT; f++)
        feature_set(&fx.model.features, (enum x86_feature)f, true);
    fx.model.linear_bits = 48;
    fx.model.phys_bits = 40;
    host_mutex_init(&fx.lock);
    fx.mem = space_create(1ull << 40, &fx.lock);
    fx.io = space_create(65536, &fx.lock);
    fx.ram = (struct region){.name = "ram", .size = RAM_SIZE, .ram = fx.host};
    if (space_map(fx.mem, 0, &fx.ram, 0))
        return -1;
    fx.vcpu.mem = fx.mem;
    fx.vcpu.io = fx.io;
    fx.vcpu.lock = &fx.lock;
    fx.vcpu.model = fx.cpu->model = &fx.model;
    fx.vcpu.a20_mask = ~0ull;
    fx.vcpu.priv = fx.cpu;
    fx.cpu->vcpu = &fx.vcpu;
    fx.cpu->delivering = -1;
    flags_set(fx.cpu, FLAG_1);
    return 0;
}

static int fx_teardown(void **state)
{
    (void)state;
    space_unmap(&fx.ram);
    space_destroy(fx.mem);
    space_destroy(fx.io);
    host_mutex_destroy(&fx.lock);
    free(fx.host);
    free(fx.cpu);
    return 0;
}

#endif
