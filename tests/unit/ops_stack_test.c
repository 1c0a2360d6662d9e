/* Stacks of every width, flags on them, near branches, CLI and STI. */
#include "x86_fixture.h"

enum { STACK = 0x20000 };

static uint64_t *gpr(void)
{
    return fx.cpu->s.gpr;
}

static uint64_t ram(uint64_t at, unsigned n)
{
    return load_le(fx.host + at, n);
}

static void set_ram(uint64_t at, uint64_t v, unsigned n)
{
    store_le(fx.host + at, v, n);
}

static void sp(uint64_t at)
{
    gpr()[RSP] = fx_linear(at);
}

static void assert_sp(uint64_t at)
{
    assert_int_equal(gpr()[RSP], fx_linear(at));
}

/* --- 64-bit --- */
static void push_and_pop(void **state)
{
    (void)state;
    fx_mode64(3);
    sp(STACK);
    gpr()[RAX] = 0x1122334455667788;
    assert_int_equal(fx_run(0x50), RAN); /* push rax */
    assert_sp(STACK - 8);
    assert_int_equal(ram(STACK - 8, 8), 0x1122334455667788);
    assert_int_equal(fx_run(0x66, 0x50), RAN); /* push ax */
    assert_sp(STACK - 10);
    assert_int_equal(ram(STACK - 10, 2), 0x7788);
    assert_int_equal(fx_run(0x6a, 0x80), RAN); /* push -128 */
    assert_int_equal(ram(STACK - 18, 8), (uint64_t)-128);
    assert_int_equal(fx_run(0x68, 0, 0, 0, 0x80), RAN);
    assert_int_equal(ram(STACK - 26, 8), 0xffffffff80000000);
    assert_int_equal(fx_run(0x54), RAN); /* push rsp: as it was */
    assert_int_equal(ram(STACK - 34, 8), fx_linear(STACK - 26));
    set_ram(STACK - 34, 0xabcdef, 8);
    assert_int_equal(fx_run(0x5b), RAN); /* pop rbx */
    assert_int_equal(gpr()[RBX], 0xabcdef);
    set_ram(STACK - 26, fx_linear(STACK), 8);
    assert_int_equal(fx_run(0x5c), RAN); /* pop rsp */
    assert_sp(STACK);
    gpr()[RDI] = fx_linear(DATA);
    set_ram(DATA + 8, 0x5555, 8);
    assert_int_equal(fx_run(0xff, 0x77, 0x08), RAN); /* push [rdi+8] */
    assert_int_equal(ram(STACK - 8, 8), 0x5555);
    /* pop [rsp+16]: counted from the new rSP */
    assert_int_equal(fx_run(0x8f, 0x44, 0x24, 0x10), RAN);
    assert_sp(STACK);
    assert_int_equal(ram(STACK + 16, 8), 0x5555);
    set_ram(STACK, 0x4444, 2);
    assert_int_equal(fx_run(0x66, 0x8f, 0x04, 0x24), RAN); /* pop word [rsp] */
    assert_int_equal(ram(STACK + 2, 2), 0x4444);
    assert_sp(STACK + 2);
}

/* rSP does not move when the access faults. */
static void faults_leave_the_stack(void **state)
{
    (void)state;
    fx_mode64(3);
    sp(FROZEN + 8);
    assert_int_equal(fx_run(0x50), EXC_PF);
    assert_sp(FROZEN + 8);
    assert_int_equal(fx_run(0x58), RAN); /* reading is allowed */
    sp(HOLE + 8);
    assert_int_equal(fx_run(0x58), EXC_PF);
    assert_sp(HOLE + 8);
    sp(STACK);
    gpr()[RDI] = fx_linear(FROZEN);
    assert_int_equal(fx_run(0x8f, 0x07), EXC_PF); /* pop [rdi] */
    assert_sp(STACK);
    gpr()[RBP] = fx_linear(HOLE);
    assert_int_equal(fx_run(0xc9), EXC_PF); /* leave */
    assert_sp(STACK);
    sp(FROZEN + 8);
    assert_int_equal(fx_run(0xe8, 0, 0, 0, 0), EXC_PF); /* call */
    assert_sp(FROZEN + 8);
    assert_int_equal(fx.cpu->s.rip, CODE);
    sp(FROZEN + 0x1010);
    assert_int_equal(fx_run(0xc8, 0x40, 0, 0), EXC_PF); /* enter: end faults */
    assert_sp(FROZEN + 0x1010);
    assert_int_equal(gpr()[RBP], fx_linear(HOLE));
}

static void frames64(void **state)
{
    (void)state;
    fx_mode64(3);
    sp(STACK);
    gpr()[RBP] = fx_linear(STACK + 64);
    for (unsigned k = 1; k < 4; k++)
        set_ram(STACK + 64 - 8 * k, k * 0x1111, 8);
    assert_int_equal(fx_run(0xc8, 0x20, 0, 0), RAN);
    assert_int_equal(ram(STACK - 8, 8), fx_linear(STACK + 64));
    assert_int_equal(gpr()[RBP], fx_linear(STACK - 8));
    assert_sp(STACK - 8 - 0x20);
    assert_int_equal(fx_run(0xc9), RAN);
    assert_sp(STACK);
    assert_int_equal(gpr()[RBP], fx_linear(STACK + 64));
    assert_int_equal(fx_run(0xc8, 0x10, 0, 3), RAN); /* two levels copied */
    assert_int_equal(ram(STACK - 16, 8), 0x1111);
    assert_int_equal(ram(STACK - 24, 8), 0x2222);
    assert_int_equal(ram(STACK - 32, 8), fx_linear(STACK - 8));
    assert_sp(STACK - 32 - 0x10);
    assert_int_equal(gpr()[RBP], fx_linear(STACK - 8));
    assert_int_equal(fx_run(0xc8, 0, 0, 33), RAN); /* levels modulo 32 */
    assert_sp(STACK - 32 - 0x10 - 16);
}

/* --- 16- and 32-bit --- */
static void stack16_wraps(void **state)
{
    (void)state;
    fx_real();
    gpr()[RSP] = 0x12340000;
    gpr()[RAX] = 0xaaaabbbb;
    assert_int_equal(fx_run(0x50), RAN); /* push ax */
    assert_int_equal(gpr()[RSP], 0x1234fffe);
    assert_int_equal(ram(0xfffe, 2), 0xbbbb);
    assert_int_equal(fx_run(0x66, 0x50), RAN); /* push eax */
    assert_int_equal(gpr()[RSP], 0x1234fffa);
    gpr()[RSP] = 0x12340001;
    assert_int_equal(fx_run(0x50), EXC_SS); /* the word would cross 64 KB */
    assert_int_equal(gpr()[RSP], 0x12340001);
    gpr()[RSP] = 0xfffe;
    set_ram(0xfffe, 0x4321, 2);
    assert_int_equal(fx_run(0x5b), RAN);
    assert_int_equal(gpr()[RSP], 0);
    assert_int_equal(gpr()[RBX] & 0xffff, 0x4321);
}

static void all_registers(void **state)
{
    (void)state;
    fx_real();
    for (unsigned r = 0; r < 8; r++)
        gpr()[r] = 0x10000 * (r + 1) + 0x101 * r;
    gpr()[RSP] = 0x70000 + 8; /* wraps in the middle */
    assert_int_equal(fx_run(0x60), RAN);
    assert_int_equal(gpr()[RSP], 0x7fff8);
    assert_int_equal(ram(6, 2), 0x000); /* ax */
    assert_int_equal(ram(4, 2), 0x101);
    assert_int_equal(ram(0xfffe, 2), 8); /* sp as it was */
    assert_int_equal(ram(0xfff8, 2), 0x707);
    for (unsigned r = 0; r < 8; r++)
        if (r != RSP)
            gpr()[r] = ~0ull;
    assert_int_equal(fx_run(0x61), RAN);
    assert_int_equal(gpr()[RSP], 0x70008);
    assert_int_equal(gpr()[RDI], 0xffffffffffff0707);
    assert_int_equal(gpr()[RAX], 0xffffffffffff0000);

    fx_protected(32, 0);
    gpr()[RSP] = STACK;
    gpr()[RBP] = 0xfedcba98;
    assert_int_equal(fx_run(0x60), RAN);
    assert_int_equal(gpr()[RSP], STACK - 32);
    assert_int_equal(ram(STACK - 20, 4), STACK);
    assert_int_equal(ram(STACK - 24, 4), 0xfedcba98);
    set_ram(STACK - 32, 0x13579bdf, 4);
    assert_int_equal(fx_run(0x61), RAN);
    assert_int_equal(gpr()[RDI], 0x13579bdf);
    assert_int_equal(gpr()[RSP], STACK);
    /* Half of it beyond the limit: nothing is written. */
    fx_segment(SS, 0x10, STACK, 0xfff, 0x4093);
    x86_mode_changed(fx.cpu);
    gpr()[RSP] = 16;
    set_ram(STACK + 12, 0x77777777, 4);
    assert_int_equal(fx_run(0x60), EXC_SS);
    assert_int_equal(ram(STACK + 12, 4), 0x77777777);
    assert_int_equal(gpr()[RSP], 16);
}

static void frames16(void **state)
{
    (void)state;
    fx_real();
    gpr()[RSP] = 0xabcd2000;
    gpr()[RBP] = 0x99993000;
    set_ram(0x2ffe, 0x1234, 2);
    assert_int_equal(fx_run(0xc8, 0x10, 0, 2), RAN);
    assert_int_equal(ram(0x1ffe, 2), 0x3000);
    assert_int_equal(ram(0x1ffc, 2), 0x1234);
    assert_int_equal(ram(0x1ffa, 2), 0x1ffe);
    assert_int_equal(gpr()[RBP], 0x99991ffe);
    assert_int_equal(gpr()[RSP], 0xabcd1fea);
    assert_int_equal(fx_run(0xc9), RAN);
    assert_int_equal(gpr()[RBP], 0x99993000);
    assert_int_equal(gpr()[RSP], 0xabcd2000);
    /* 32-bit operands on a 16-bit stack */
    assert_int_equal(fx_run(0x66, 0xc8, 0x10, 0, 0), RAN);
    assert_int_equal(gpr()[RBP], 0xabcd1ffc);
    assert_int_equal(gpr()[RSP], 0xabcd1fec);
    assert_int_equal(fx_run(0x66, 0xc9), RAN);
    assert_int_equal(gpr()[RSP], 0xabcd2000);
    assert_int_equal(gpr()[RBP], 0x99993000);
}

/* --- flags on the stack --- */
static void pop_flags(uint64_t v, unsigned n)
{
    set_ram(STACK, v, n);
    sp(STACK);
}

static void popf_by_privilege(void **state)
{
    const uint64_t all = 0x3f7fd7; /* with VM, RF, VIF and VIP */

    (void)state;
    fx_mode64(3);
    flags_set(fx.cpu, FLAG_1 | FLAG_IF);
    pop_flags(all & ~(uint64_t)FLAG_IF, 8);
    assert_int_equal(fx_run(0x9d), RAN);
    assert_sp(STACK + 8);
    /* IOPL 0: neither IF nor IOPL */
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_IF | FLAGS_STATUS |
                                            FLAG_TF | FLAG_DF | FLAG_NT |
                                            FLAG_AC | FLAG_ID);
    assert_true(fx.cpu->mode_key & MODE_TF);
    pop_flags(0, 8);
    assert_int_equal(fx_run(0x9d), RAN);
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_IF);
    assert_false(fx.cpu->mode_key & MODE_TF);
    flags_set(fx.cpu, FLAG_1 | FLAG_IF | FLAG_IOPL);
    pop_flags(0, 8);
    assert_int_equal(fx_run(0x9d), RAN);
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_IOPL);

    fx_mode64(0);
    flags_set(fx.cpu, FLAG_1 | FLAG_RF | FLAG_VIP);
    pop_flags(all & ~(uint64_t)(FLAG_TF | FLAG_VIP), 8);
    assert_int_equal(fx_run(0x9d), RAN);
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_VIP | FLAGS_STATUS |
                                            FLAG_IF | FLAG_DF | FLAG_IOPL |
                                            FLAG_NT | FLAG_AC | FLAG_ID);
    pop_flags(0, 2); /* 16 bits: AC, ID and VIP stay */
    assert_int_equal(fx_run(0x66, 0x9d), RAN);
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_VIP | FLAG_AC | FLAG_ID);
    flags_set(fx.cpu, FLAG_1);
}

static void pushf_image(void **state)
{
    (void)state;
    fx_mode64(0);
    flags_set(fx.cpu, FLAG_1 | FLAG_RF | FLAG_VIP | FLAG_ID | FLAG_IOPL);
    flags_sub(fx.cpu, 1, 2, 4); /* lazily: CF, PF, AF, SF */
    sp(STACK);
    assert_int_equal(fx_run(0x9c), RAN);
    assert_int_equal(ram(STACK - 8, 8), FLAG_1 | FLAG_VIP | FLAG_ID |
                                            FLAG_IOPL | FLAG_CF | FLAG_PF |
                                            FLAG_AF | FLAG_SF);
    flags_set(fx.cpu, FLAG_1);
}

static void virtual_8086(void **state)
{
    uint64_t f;

    (void)state;
    fx_vm86(3);
    f = FLAG_1 | FLAG_VM | FLAG_IOPL;
    gpr()[RSP] = 0x2000;
    assert_int_equal(fx_run(0x9c), RAN);
    assert_int_equal(ram(0x1ffe, 2), FLAG_1 | FLAG_IOPL);
    set_ram(0x1ffe, FLAG_IF, 2);
    assert_int_equal(fx_run(0x9d), RAN);
    assert_int_equal(flags_get(fx.cpu), f | FLAG_IF);
    set_ram(0x2000, 0, 4);
    assert_int_equal(fx_run(0x66, 0x9d), RAN); /* VM stays */
    assert_int_equal(flags_get(fx.cpu), f);

    fx_vm86(0);
    gpr()[RSP] = 0x2000;
    assert_int_equal(fx_run(0x9c), EXC_GP);
    assert_int_equal(fx_run(0x9d), EXC_GP);
    assert_int_equal(fx_run(0xfa), EXC_GP); /* cli */
    assert_int_equal(gpr()[RSP], 0x2000);
    fx.cpu->s.cr4 |= CR4_VME; /* now VIF stands in for IF */
    assert_int_equal(fx_run(0xfb), RAN);
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_VM | FLAG_VIF);
    assert_false(fx.cpu->s.sti_shadow);
    assert_int_equal(fx_run(0x9c), RAN);
    assert_int_equal(ram(0x1ffe, 2), FLAG_1 | FLAG_IF | FLAG_IOPL);
    assert_int_equal(fx_run(0x66, 0x9c), EXC_GP); /* 32 bits: never */
    set_ram(0x1ffe, FLAG_CF, 2);
    assert_int_equal(fx_run(0x9d), RAN);
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_VM | FLAG_CF);
    gpr()[RSP] = 0x1ffe;
    set_ram(0x1ffe, FLAG_TF, 2);
    assert_int_equal(fx_run(0x9d), EXC_GP);
    flags_set(fx.cpu, FLAG_1 | FLAG_VM | FLAG_VIP);
    set_ram(0x1ffe, FLAG_IF, 2);
    assert_int_equal(fx_run(0x9d), EXC_GP); /* an interrupt waits */
    assert_int_equal(fx_run(0xfb), EXC_GP);
    assert_int_equal(fx_run(0xfa), RAN);
    assert_int_equal(gpr()[RSP], 0x1ffe);
    fx.cpu->s.cr4 = 0;
    flags_set(fx.cpu, FLAG_1);
}

static void interrupt_flag(void **state)
{
    struct cpu *c = fx.cpu;

    (void)state;
    fx_mode64(0);
    flags_set(c, FLAG_1);
    c->s.sti_shadow = false;
    assert_int_equal(fx_run(0xfb), RAN);
    assert_int_equal(flags_get(c), FLAG_1 | FLAG_IF);
    assert_true(c->s.sti_shadow);
    c->s.sti_shadow = false;
    assert_int_equal(fx_run(0xfb), RAN); /* was on already: no shadow */
    assert_false(c->s.sti_shadow);
    assert_int_equal(fx_run(0xfa), RAN);
    assert_int_equal(flags_get(c), FLAG_1);
    fx_mode64(3);
    assert_int_equal(fx_run(0xfb), EXC_GP);
    assert_int_equal(fx_run(0xfa), EXC_GP);
    flags_set(c, FLAG_1 | FLAG_IOPL);
    assert_int_equal(fx_run(0xfb), RAN);
    flags_set(c, FLAG_1);
    fx_protected(32, 3);
    c->s.cr4 |= CR4_PVI;
    assert_int_equal(fx_run(0xfb), RAN);
    assert_int_equal(flags_get(c), FLAG_1 | FLAG_VIF);
    assert_int_equal(fx_run(0xfa), RAN);
    assert_int_equal(flags_get(c), FLAG_1);
    flags_set(c, FLAG_1 | FLAG_VIP);
    assert_int_equal(fx_run(0xfb), EXC_GP);
    c->s.cr4 = 0;
    c->s.sti_shadow = false;
    flags_set(c, FLAG_1);
}

static void smap_flag(void **state)
{
    struct cpu *c = fx.cpu;

    (void)state;
    fx_mode64(0);
    c->s.cr4 |= CR4_SMAP;
    x86_mode_changed(c);
    assert_int_equal(c->tlb_mode, TLB_KERNEL_SMAP);
    assert_int_equal(fx_run(0x0f, 0x01, 0xcb), RAN); /* stac */
    assert_int_equal(flags_get(c), FLAG_1 | FLAG_AC);
    assert_int_equal(c->tlb_mode, TLB_KERNEL);
    assert_int_equal(fx_run(0x0f, 0x01, 0xca), RAN);
    assert_int_equal(flags_get(c), FLAG_1);
    assert_int_equal(c->tlb_mode, TLB_KERNEL_SMAP);
    fx_mode64(0);
}

/* --- branches --- */
static void jumps64(void **state)
{
    struct cpu *c = fx.cpu;

    (void)state;
    fx_mode64(3);
    assert_int_equal(fx_run(0xeb, 0xfe), RAN);
    assert_int_equal(c->s.rip, CODE);
    assert_int_equal(fx_run(0xe9, 0, 0, 0, 0x80), RAN); /* back by 2 GB */
    assert_int_equal(c->s.rip, CODE + 5 - 0x80000000ull);
    flags_sub(c, 3, 3, 4);
    assert_int_equal(fx_run(0x74, 0x10), RAN);
    assert_int_equal(c->s.rip, CODE + 2 + 0x10);
    assert_int_equal(fx_run(0x75, 0x10), RAN); /* not taken */
    assert_int_equal(c->s.rip, CODE + 2);
    gpr()[RAX] = 0x0000800000000000;
    assert_int_equal(fx_run(0xff, 0xe0), EXC_GP); /* jmp rax */
    gpr()[RAX] = 0xffff800000000000;
    assert_int_equal(fx_run(0xff, 0xe0), RAN);
    assert_int_equal(c->s.rip, 0xffff800000000000);
    gpr()[RDI] = fx_linear(DATA);
    set_ram(DATA, 0x123456789a, 8);
    assert_int_equal(fx_run(0xff, 0x27), RAN); /* jmp [rdi] */
    assert_int_equal(c->s.rip, 0x123456789a);
}

static void calls(void **state)
{
    struct cpu *c = fx.cpu;

    (void)state;
    fx_mode64(3);
    sp(STACK);
    assert_int_equal(fx_run(0xe8, 0x34, 0x12, 0, 0), RAN);
    assert_int_equal(c->s.rip, CODE + 5 + 0x1234);
    assert_int_equal(ram(STACK - 8, 8), CODE + 5);
    assert_int_equal(fx_run(0xc3), RAN);
    assert_int_equal(c->s.rip, CODE + 5);
    assert_sp(STACK);
    set_ram(STACK, 0x8000000000000000, 8);
    assert_int_equal(fx_run(0xc2, 0x10, 0), EXC_GP); /* not canonical */
    assert_sp(STACK);
    set_ram(STACK, 0x4000, 8);
    assert_int_equal(fx_run(0xc2, 0x10, 0xff), RAN); /* ret 0xff10 */
    assert_sp(STACK + 8 + 0xff10);
    assert_int_equal(c->s.rip, 0x4000);
    sp(STACK);
    gpr()[RSP] = fx_linear(STACK);
    set_ram(STACK - 8, 0, 8);
    gpr()[RBX] = 1ull << 60;
    assert_int_equal(fx_run(0xff, 0xd3), EXC_GP); /* call rbx, as CPUs do it */
    assert_int_equal(ram(STACK - 8, 8), CODE + 2);
    assert_sp(STACK);
    set_ram(STACK, 0x7777, 8); /* call [rsp]: read before the push */
    assert_int_equal(fx_run(0xff, 0x14, 0x24), RAN);
    assert_int_equal(c->s.rip, 0x7777);
    assert_int_equal(ram(STACK - 8, 8), CODE + 3);
}

static void limits(void **state)
{
    struct cpu *c = fx.cpu;

    (void)state;
    fx_protected(32, 0);
    c->s.seg[CS].limit = CODE + 0xff;
    x86_mode_changed(c);
    assert_int_equal(fx_run(0xeb, 0x7f), RAN);
    assert_int_equal(fx_run(0xe9, 0xfa, 0, 0, 0), RAN); /* CODE + 0xff */
    assert_int_equal(fx_run(0xe9, 0xfb, 0, 0, 0), EXC_GP);
    gpr()[RCX] = 2;
    c->s.seg[CS].limit = CODE + 0x20;
    assert_int_equal(fx_run(0xe2, 0x7f), EXC_GP); /* loop */
    assert_int_equal(gpr()[RCX], 2);
    gpr()[RCX] = 1;
    assert_int_equal(fx_run(0xe2, 0x7f), RAN); /* not taken: no check */
    assert_int_equal(gpr()[RCX], 0);
    assert_int_equal(c->s.rip, CODE + 2);
    gpr()[RSP] = STACK;
    assert_int_equal(fx_run(0xe8, 0, 1, 0, 0), EXC_GP);
    assert_int_equal(gpr()[RSP], STACK);
    /* 16-bit operand size cuts the target */
    c->s.seg[CS].limit = 0xffffffff;
    c->s.rip = CODE;
    assert_int_equal(fx_run(0x66, 0xe9, 0xfc, 0x7f), RAN); /* 0x10000 */
    assert_int_equal(c->s.rip, 0);
    fx_real();
    assert_int_equal(fx_run(0xe9, 0xfd, 0x7f), RAN);
    assert_int_equal(c->s.rip, 0);
    assert_int_equal(fx_run(0x66, 0xe9, 0, 0, 1, 0), EXC_GP); /* beyond 64 KB */
}

static void loops(void **state)
{
    struct cpu *c = fx.cpu;

    (void)state;
    fx_mode64(3);
    gpr()[RCX] = 0x100000000;
    assert_int_equal(fx_run(0xe2, 0x10), RAN);
    assert_int_equal(gpr()[RCX], 0xffffffff);
    assert_int_equal(c->s.rip, CODE + 2 + 0x10);
    gpr()[RCX] = 0xffffffff00000002;
    assert_int_equal(fx_run(0x67, 0xe2, 0x10), RAN); /* ecx */
    assert_int_equal(gpr()[RCX], 1);
    assert_int_equal(c->s.rip, CODE + 3 + 0x10);
    flags_sub(c, 1, 2, 1); /* not zero */
    gpr()[RCX] = 5;
    assert_int_equal(fx_run(0xe1, 0x10), RAN); /* loope */
    assert_int_equal(c->s.rip, CODE + 2);
    assert_int_equal(gpr()[RCX], 4);
    assert_int_equal(fx_run(0xe0, 0x10), RAN); /* loopne */
    assert_int_equal(c->s.rip, CODE + 2 + 0x10);
    gpr()[RCX] = 0xffffffff00000000;
    assert_int_equal(fx_run(0xe3, 0x10), RAN); /* jrcxz */
    assert_int_equal(c->s.rip, CODE + 2);
    assert_int_equal(fx_run(0x67, 0xe3, 0x10), RAN); /* jecxz */
    assert_int_equal(c->s.rip, CODE + 3 + 0x10);
    assert_int_equal(gpr()[RCX], 0xffffffff00000000);
    fx_real();
    gpr()[RCX] = 0x70000;
    assert_int_equal(fx_run(0xe3, 0x10), RAN); /* jcxz */
    assert_int_equal(c->s.rip, CODE + 2 + 0x10);
    assert_int_equal(fx_run(0xe2, 0x10), RAN);
    assert_int_equal(gpr()[RCX], 0x7ffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_and_pop),
        cmocka_unit_test(faults_leave_the_stack),
        cmocka_unit_test(frames64),
        cmocka_unit_test(stack16_wraps),
        cmocka_unit_test(all_registers),
        cmocka_unit_test(frames16),
        cmocka_unit_test(popf_by_privilege),
        cmocka_unit_test(pushf_image),
        cmocka_unit_test(virtual_8086),
        cmocka_unit_test(interrupt_flag),
        cmocka_unit_test(smap_flag),
        cmocka_unit_test(jumps64),
        cmocka_unit_test(calls),
        cmocka_unit_test(limits),
        cmocka_unit_test(loops),
    };

    return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
