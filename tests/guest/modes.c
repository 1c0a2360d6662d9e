/*
 * The modes of the CPU and the ways between them: real mode, unreal mode,
 * virtual-8086 mode (IOPL 0 and 3, VME), 16- and 32-bit protected mode,
 * compatibility and 64-bit mode, and back to real mode. SDM volume 3, 3, 9.9,
 * 10.8.5, 20.
 */
#include "guest.h"
#include "modes.h"

enum {
    FL_IF = 0x200,
    FL_VM = 1 << 17,
    FL_VIF = 1 << 19,
    FL_VIP = 1 << 20,
    IOPL3 = 0x3000
};
enum { CR4_VME = 1 };

#define LABEL(name) extern const char name[];
LABEL(low_start)
LABEL(low_end)
LABEL(finish_at) LABEL(real_stubs) LABEL(real_ax) LABEL(real_vector) LABEL(
    real_ip) LABEL(real_int40) LABEL(s_word_end) LABEL(s_byte_end)
    LABEL(s_dword_end) LABEL(s_addr32) LABEL(s_stack_end) LABEL(s_wrap) LABEL(
        s_sp_wrap) LABEL(s_esp_high) LABEL(s_push) LABEL(s_pushl) LABEL(s_call)
        LABEL(s_pushf) LABEL(s_popf_iopl) LABEL(s_pushfl) LABEL(s_int40) LABEL(
            s_int3) LABEL(s_into) LABEL(s_bound) LABEL(s_bound_in) LABEL(s_div)
            LABEL(s_ud) LABEL(s_lock) LABEL(s_long) LABEL(s_lldt) LABEL(
                s_str) LABEL(s_verr) LABEL(s_arpl) LABEL(s_mov_cr0)
                LABEL(s_smsw) LABEL(s_lgdt) LABEL(s_cs_write) LABEL(
                    s_cs_read) LABEL(s_segment) LABEL(s_far_call)
                    LABEL(s_far_ret32) LABEL(s_iret) LABEL(s_iretl) LABEL(
                        s_jmp_wrap) LABEL(s_jmp_beyond) LABEL(s_popl_high)
                        LABEL(s_cli) LABEL(s_sti) LABEL(s_in) LABEL(
                            s_hlt) LABEL(s_popf_if) LABEL(s_popf_tf)
                            LABEL(s_popfl) LABEL(s_pushf_if) LABEL(
                                s_sti_pushf) LABEL(s_iret_if) LABEL(r_idt_limit)
                                LABEL(r_idt_moved) LABEL(r_a20_off) LABEL(
                                    r_a20_on) LABEL(u_read) LABEL(u_reload)
                                    LABEL(u_stack) LABEL(u_esp_wrap) LABEL(
                                        l_cs) LABEL(l_push) LABEL(l_zero)
                                        LABEL(l_rex) LABEL(l_r15) LABEL(
                                            l_ds) LABEL(l_fs) LABEL(l_fs_msr)
                                            LABEL(l_rip) LABEL(l_lma) LABEL(
                                                l_pushf) LABEL(l_movsxd)
                                                LABEL(l_cmov) LABEL(c_cs) LABEL(
                                                    c_push) LABEL(c_inc)
                                                    LABEL(c_lma) LABEL(c_fs)
                                                        LABEL(c_wrap) LABEL(
                                                            c16_push)
                                                            LABEL(c16_cs)

                                                                void go_prot16(
                                                                    uint32_t
                                                                        offset);
void go_vm86(uint32_t offset, uint32_t flags);
void go_real(uint32_t offset, uint32_t unreal);
uint32_t go_long(const char *code, unsigned kind);
void leave_guard(void) __attribute__((noreturn));

extern uint64_t pml4[512], pdpt[512], pd[2048]; /* lib/boot.S */

/*
 * What came of a piece of 16-bit code: AX, or the vector of a trap with the
 * offset of the instruction and the error code.
 */
#define T(vector, at)         (0x80000000ull | (vector) << 16 | (at))
#define TE(vector, at, error) (T(vector, at) | (uint64_t)(error) << 32)

static uint32_t offset(const char *label)
{
    return (uint32_t)(label - low_start);
}

static void *low(const char *label)
{
    return (void *)(LOW + offset(label));
}

/* --- set-up --- */

static void put16(uint32_t a, uint16_t v)
{
    *(volatile uint16_t *)a = v;
}

static void set_up(void)
{
    memcpy((void *)LOW, low_start, (size_t)(low_end - low_start));
    for (unsigned v = 0; v < 256; v++) {
        put16(v * 4, (uint16_t)(offset(real_stubs) + v * 4));
        put16(v * 4 + 2, LOW >> 4);
    }
    put16(0x40 * 4, (uint16_t)offset(real_int40));
    /* Where code gets by wrapping and by not wrapping: int FINISH. */
    put16(LOW + 0xffe0, 0xcd | FINISH << 8);
    put16(LOW + 0x10000, 0xcd | FINISH << 8);
    write32(SHARED + SH_MAGIC, 0x12345aa5);
    set_descriptor(LOW_CODE, LOW, 0xffff, 0x9b, 0);
    set_descriptor(LOW_DATA, SHARED, 0xffff, 0x93, 0);
    set_descriptor(FLAT, 0, 0xfffff, 0x93, 0xc);
}

/* --- running 16-bit code --- */

static uint64_t result;
static uint32_t result_flags;

static void capture(struct frame *f)
{
    uint16_t at = (uint16_t)f->ip;
    bool finished =
        f->vector == FINISH || (f->vector == 13 && at == offset(finish_at));

    result_flags = f->flags;
    if (finished)
        result = (uint16_t)f->ax;
    else
        result = T((uint64_t)f->vector, at) | (uint64_t)f->error << 32;
    last.vector = 0;
    leave_guard();
}

static uint64_t captured(void (*run)(void *), const char *code)
{
    result = ~0ull;
    for (unsigned v = 0; v < 256; v++)
        handlers[v] = capture;
    guard(run, (void *)offset(code));
    for (unsigned v = 0; v < 256; v++)
        handlers[v] = NULL;
    if (result >> 31 & 1)
        result -= offset(code);
    return result;
}

static uint32_t vm86_flags;

static void run_vm86(void *at)
{
    go_vm86((uint32_t)at, vm86_flags);
}

static void run_prot16(void *at)
{
    go_prot16((uint32_t)at);
}

static uint64_t in_vm86(const char *code, uint32_t flags)
{
    vm86_flags = FL_VM | 2 | flags;
    return captured(run_vm86, code);
}

static uint64_t in_prot16(const char *code)
{
    return captured(run_prot16, code);
}

static uint64_t in_real(const char *code, bool unreal)
{
    uint16_t vector;

    go_real(offset(code), unreal);
    vector = *(volatile uint16_t *)low(real_vector);
    if (vector == FINISH)
        return *(volatile uint16_t *)low(real_ax);
    return T((uint64_t)vector, *(volatile uint16_t *)low(real_ip)) -
           offset(code);
}

/* --- the same code in three modes --- */

static const struct {
    const char *name, *code;
    uint64_t real, vm86, prot; /* virtual-8086 with IOPL 3 */
} pieces[] = {
    {"word at ffff", s_word_end, T(13, 0), T(13, 0), T(13, 0)},
    {"byte at ffff", s_byte_end, 1, 1, 1},
    {"dword at fffd", s_dword_end, T(13, 0), T(13, 0), T(13, 0)},
    {"32-bit address 10000", s_addr32, T(13, 6), T(13, 6), T(13, 6)},
    {"stack word at ffff", s_stack_end, T(12, 3), T(12, 3), T(12, 3)},
    {"address wraps", s_wrap, 0x5aa5, 0x5aa5, 0x5aa5},
    {"sp wraps", s_sp_wrap, 0xfffe, 0xfffe, 0xfffe},
    {"upper half of esp", s_esp_high, 0x1234, 0x1234, 0x1234},
    {"push", s_push, 2, 2, 2},
    {"push of 32 bits", s_pushl, 4, 4, 4},
    {"call", s_call, 2, 2, 2},
    {"iopl in pushf", s_pushf, 0, IOPL3, 0},
    {"iopl by popf", s_popf_iopl, IOPL3, IOPL3, IOPL3},
    {"pushf of 32 bits, upper half", s_pushfl, 0, 0, 0},
    {"int 40", s_int40, 0x2011, TE(13, 5, 0x202), T(0x40, 7)},
    {"int3", s_int3, T(3, 1), T(3, 1), T(3, 1)},
    {"into", s_into, T(4, 5), T(4, 5), T(4, 5)},
    {"bound", s_bound, T(5, 12), T(5, 12), T(5, 12)},
    {"bound, inside", s_bound_in, 8, 8, 8},
    {"div", s_div, T(0, 0), T(0, 0), T(0, 0)},
    {"ud2", s_ud, T(6, 0), T(6, 0), T(6, 0)},
    {"lock nop", s_lock, T(6, 0), T(6, 0), T(6, 0)},
    {"16 bytes", s_long, T(13, 0), T(13, 0), T(13, 0)},
    {"lldt", s_lldt, T(6, 0), T(6, 0), 0},
    {"str", s_str, T(6, 0), T(6, 0), TSS_SEL},
    {"verr", s_verr, T(6, 2), T(6, 2), 1},
    {"arpl", s_arpl, T(6, 3), T(6, 3), 3},
    {"cr0.pe", s_mov_cr0, 0, T(13, 0), 1},
    {"smsw", s_smsw, 0, 1, 1},
    {"lgdt of 16 bits", s_lgdt, 0x0056, T(13, 21), 0x0056},
    {"write through cs", s_cs_write, 1, 1, T(13, 0)},
    {"read through cs", s_cs_read, 0x1234, 0x1234, 0x1234},
    {"segment register", s_segment, 0x1234, 0x1234, TE(13, 3, 0x6fc)},
    {"far call", s_far_call, LOW >> 4, LOW >> 4, TE(13, 0, 0x700)},
    {"far ret of 32 bits", s_far_ret32, LOW >> 4, LOW >> 4, TE(13, 12, 0x700)},
    {"iret", s_iret, 1, 1, 1},
    {"iret of 32 bits", s_iretl, 1, 1, TE(13, 14, 0x700)},
    {"jmp wraps", s_jmp_wrap, 0x1111, 0x1111, 0x1111},
    {"jmp of 32 bits to 10000", s_jmp_beyond, T(13, 9), T(13, 9), T(13, 9)},
    {"pop of 16 bits", s_popl_high, 0x1234, 0x1234, 0x1234},
    {"cli", s_cli, 1, 1, 1},
    {"sti", s_sti, 1, 1, 1},
    {"in", s_in, 1, 1, 1},
};

static void check_pieces(void)
{
    for (unsigned n = 0; n < sizeof pieces / sizeof pieces[0]; n++) {
        check_prefix = "real, ";
        check(pieces[n].name, in_real(pieces[n].code, false), pieces[n].real);
        check_prefix = "virtual-8086, ";
        check(pieces[n].name, in_vm86(pieces[n].code, IOPL3), pieces[n].vm86);
        check_prefix = "16-bit protected, ";
        check(pieces[n].name, in_prot16(pieces[n].code), pieces[n].prot);
    }
}

static void check_real(void)
{
    check_prefix = "real, ";
    check("int 40 beyond the table", in_real(r_idt_limit, false), T(13, 20));
    check("int 40, table moved", in_real(r_idt_moved, false), 0x2011);
    check("ffff:10 is 0 with a20", in_real(r_a20_on, false), 0);
    check("ffff:10 is 0 without a20", in_real(r_a20_off, false), 1);
    check("ffff:10 is 0 with a20 again", in_real(r_a20_on, false), 0);
}

static void check_unreal(void)
{
    check_prefix = "unreal, ";
    check("read at 1 mb", in_real(u_read, true), 0xb002);
    check("after a load of ds", in_real(u_reload, true), 0xb002);
    check("stack of 32 bits", in_real(u_stack, true), 1);
    check("esp does not wrap at 64 kb", in_real(u_esp_wrap, true), 0xfffe);
    check_prefix = "real again, ";
    check("word at ffff", in_real(s_word_end, false), T(13, 0));
}

/* --- virtual-8086 mode: who may do what --- */

static const struct {
    const char *name, *code;
    uint64_t iopl3, iopl0;
} trusted[] = {
    {"cli", s_cli, 1, T(13, 0)},
    {"sti", s_sti, 1, T(13, 0)},
    {"pushf", s_pushf_if, 0x3000, T(13, 0)},
    {"pushf of 32 bits", s_pushfl, 0, T(13, 0)},
    {"popf", s_popf_if, 0x202, T(13, 4)},
    {"popf of 32 bits", s_popfl, 0, T(13, 3)},
    {"int 40", s_int40, TE(13, 5, 0x202), T(13, 4)},
    {"int3", s_int3, T(3, 1), T(3, 1)},
    {"into", s_into, T(4, 5), T(4, 5)},
    {"iret", s_iret_if, 0, T(13, 7)},
    {"hlt", s_hlt, T(13, 0), T(13, 0)},
    {"mov from cr0", s_mov_cr0, T(13, 0), T(13, 0)},
    {"in", s_in, 1, 1},
};

static void check_trust(void)
{
    for (unsigned n = 0; n < sizeof trusted / sizeof trusted[0]; n++) {
        check_prefix = "iopl 3, ";
        check(trusted[n].name, in_vm86(trusted[n].code, IOPL3),
              trusted[n].iopl3);
        check_prefix = "iopl 0, ";
        check(trusted[n].name, in_vm86(trusted[n].code, 0), trusted[n].iopl0);
    }
    check_prefix = "iopl 3, ";
    tss[0x88 + 0x81 / 8] |= 1 << (0x81 & 7);
    check("in, forbidden", in_vm86(s_in, IOPL3), T(13, 0));
    tss[0x88 + 0x81 / 8] = 0;
}

#define VIF_SET 0x10000 /* in the result */
static const struct {
    const char *name, *code;
    uint32_t flags;
    bool redirect; /* INT 40h to the vector table */
    uint64_t want;
} vme[] = {
    {"cli", s_cli, FL_VIF, 0, 1},
    {"sti", s_sti, 0, 0, 1 | VIF_SET},
    {"sti with vip", s_sti, FL_VIP, 0, T(13, 0)},
    {"pushf with vif", s_pushf_if, FL_VIF, 0, 0x3200 | VIF_SET},
    {"pushf without vif", s_pushf_if, 0, 0, 0x3000},
    {"sti, pushf", s_sti_pushf, 0, 0, 0x3200 | VIF_SET},
    {"popf with if", s_popf_if, 0, 0, 0x202 | VIF_SET},
    {"popf with if and vip", s_popf_if, FL_VIP, 0, T(13, 4)},
    {"popf with tf", s_popf_tf, 0, 0, T(13, 4)},
    {"pushf of 32 bits", s_pushfl, 0, 0, T(13, 0)},
    {"popf of 32 bits", s_popfl, 0, 0, T(13, 3)},
    {"iret with if", s_iret_if, 0, 0, VIF_SET},
    {"iret with if and vip", s_iret_if, FL_VIP, 0, T(13, 7)},
    {"iret of 32 bits", s_iretl, 0, 0, T(13, 0)},
    {"int 40 redirected", s_int40, 0, 1, 0x2011 | VIF_SET},
    {"int 40 not redirected", s_int40, 0, 0, T(13, 5)},
};

static void check_vme(void)
{
    if (!(cpuid(1, 0).d & 2)) {
        absent("vme");
        return;
    }
    set_cr4(get_cr4() | CR4_VME);
    for (unsigned n = 0; n < sizeof vme / sizeof vme[0]; n++) {
        uint64_t got;

        check_prefix = "vme, ";
        memset(tss + 0x68, 0xff, 0x20);
        if (vme[n].redirect)
            tss[0x68 + 0x40 / 8] &= (uint8_t) ~(1 << (0x40 & 7));
        got = in_vm86(vme[n].code, vme[n].flags);
        if (!(got >> 31 & 1) && (result_flags & FL_VIF))
            got |= VIF_SET;
        check(vme[n].name, got, vme[n].want);
    }
    set_cr4(get_cr4() & ~CR4_VME);
    memset(tss + 0x68, 0, 0x20);
}

/* --- segments in 32-bit protected mode --- */

static const struct {
    const char *name;
    uint32_t base, limit;
    uint8_t access, flags;
    uint32_t at;
    uint8_t bytes;
    bool write;
    uint32_t want; /* 0xffff: fine */
} segments[] = {
    {"last byte", SHARED, 0xfff, 0x93, 4, 0xfff, 1, 1, 0xffff},
    {"byte after the limit", SHARED, 0xfff, 0x93, 4, 0x1000, 1, 0, 0xd0000},
    {"dword over the limit", SHARED, 0xfff, 0x93, 4, 0xffd, 4, 0, 0xd0000},
    {"last dword", SHARED, 0xfff, 0x93, 4, 0xffc, 4, 1, 0xffff},
    {"limit of one byte", SHARED, 0, 0x93, 4, 0, 1, 1, 0xffff},
    {"limit of one byte, word", SHARED, 0, 0x93, 4, 0, 2, 0, 0xd0000},
    {"limit in pages", SHARED, 0, 0x93, 0xc, 0xffc, 4, 1, 0xffff},
    {"limit in pages, beyond", SHARED, 0, 0x93, 0xc, 0x1000, 1, 0, 0xd0000},
    {"expand-down, at the limit", SHARED, 0xff, 0x97, 4, 0xff, 1, 0, 0xd0000},
    {"expand-down, above the limit", SHARED, 0xff, 0x97, 4, 0x100, 4, 1,
     0xffff},
    {"expand-down, word at the limit", SHARED, 0xff, 0x97, 4, 0xff, 2, 0,
     0xd0000},
    {"16-bit expand-down, above 64 kb", SHARED, 0xff, 0x97, 0, 0x10000, 1, 0,
     0xd0000},
    {"16-bit expand-down, at the end", SHARED, 0xff, 0x97, 0, 0xfff, 1, 1,
     0xffff},
    {"read-only, read", SHARED, 0xfff, 0x91, 4, 0, 4, 0, 0xffff},
    {"read-only, write", SHARED, 0xfff, 0x91, 4, 0, 4, 1, 0xd0000},
    {"code, read", SHARED, 0xfff, 0x9b, 4, 0, 4, 0, 0xffff},
    {"code, write", SHARED, 0xfff, 0x9b, 4, 0, 4, 1, 0xd0000},
    {"base and offset wrap", 0xfffff000, 0xfffff, 0x93, 0xc, SHARED + 0x1000, 4,
     1, 0xffff},
};

static uint32_t access_at;

#define ACCESS(name, insn)                                                     \
    static void name(void *arg)                                                \
    {                                                                          \
        (void)arg;                                                             \
        __asm__ volatile("mov %0, %%fs;" insn                                  \
                         :                                                     \
                         : "r"(BAD), "b"(access_at)                            \
                         : "eax", "memory");                                   \
    }
ACCESS(read1, "mov %%fs:(%%ebx), %%al")
ACCESS(read2, "mov %%fs:(%%ebx), %%ax")
ACCESS(read4, "mov %%fs:(%%ebx), %%eax")
ACCESS(write1, "orb $0, %%fs:(%%ebx)")
ACCESS(write2, "orw $0, %%fs:(%%ebx)")
ACCESS(write4, "orl $0, %%fs:(%%ebx)")

static void read_null(void *arg)
{
    (void)arg;
    __asm__ volatile("mov %0, %%fs; mov %%fs:0, %%al" : : "r"(3) : "eax");
}

static void check_segments(void)
{
    static void (*const ways[2][5])(void *) = {
        {NULL, read1, read2, NULL, read4},
        {NULL, write1, write2, NULL, write4}};

    check_prefix = "segment, ";
    for (unsigned n = 0; n < sizeof segments / sizeof segments[0]; n++) {
        set_descriptor(BAD, segments[n].base, segments[n].limit,
                       segments[n].access, segments[n].flags);
        access_at = segments[n].at;
        check(segments[n].name,
              trap_code(guard(ways[segments[n].write][segments[n].bytes], 0)),
              segments[n].want);
    }
    check("null, read", trap_code(guard(read_null, 0)), 0xd0000);
}

/* --- long mode --- */

static const struct {
    const char *name, *code;
    unsigned kind;
    uint32_t base; /* of BAD */
    uint32_t want;
} longs[] = {
    {"compatibility, cs", c_cs, 32, 0, CODE32},
    {"compatibility, efer", c_lma, 32, 0, 0x500},
    {"compatibility, push", c_push, 32, 0, 4},
    {"compatibility, 40h is inc", c_inc, 32, 0, 6},
    {"compatibility, base of fs", c_fs, 32, SHARED, 0x12345aa5},
    {"compatibility, wraps at 4 gb", c_wrap, 32, SHARED, 0x12345aa5},
    {"16-bit compatibility, cs", c16_cs, 16, 0, LOW_CODE},
    {"16-bit compatibility, push", c16_push, 16, 0, 2},
    {"64-bit, cs", l_cs, 64, 0, CODE64},
    {"64-bit, efer", l_lma, 64, 0, 0x500},
    {"64-bit, push", l_push, 64, 0, 8},
    {"64-bit, pushf", l_pushf, 64, 0, 8},
    {"64-bit, upper halves cleared", l_zero, 64, 0, 7},
    {"64-bit, cmov clears too", l_cmov, 64, 0, 0},
    {"64-bit, 40h is a prefix", l_rex, 64, 0, 5},
    {"64-bit, 63h is movsxd", l_movsxd, 64, 0, 0xffffffff},
    {"64-bit, r15", l_r15, 64, 0, 0x12345678},
    {"64-bit, rip-relative", l_rip, 64, 0, 0xcafe},
    {"64-bit, base of ds", l_ds, 64, 0x1000, 0x12345aa5},
    {"64-bit, base of fs", l_fs, 64, SHARED, 0x12345aa5},
    {"64-bit, fs base msr", l_fs_msr, 64, 0, 0x12345aa5},
};

static void set_lme_paging(void *arg)
{
    (void)arg;
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x100);
}

static void set_pg(void *arg)
{
    (void)arg;
    set_cr0(get_cr0() | 1u << 31);
}

static void check_long(void)
{
    if (!(cpuid(0x80000001, 0).d & 1 << 29)) {
        absent("long mode");
        return;
    }
    pml4[0] = (uint32_t)pdpt | 7;
    for (unsigned n = 0; n < 4; n++)
        pdpt[n] = (uint32_t)(pd + n * 512) | 7;
    for (unsigned n = 0; n < 2048; n++)
        pd[n] = (uint64_t)n << 21 | 0x87;
    check_prefix = "";
    for (unsigned n = 0; n < sizeof longs / sizeof longs[0]; n++) {
        set_descriptor(BAD, longs[n].base, 0xfffff, 0x93, 0xc);
        check(longs[n].name, go_long(longs[n].code, longs[n].kind),
              longs[n].want);
    }
    check("after long mode, efer", rdmsr(0xc0000080) & 0x500, 0);
    wrmsr(0xc0000080, 0x100);
    set_cr3((uint32_t)pml4);
    check("pg with lme, without pae", trap_code(guard(set_pg, 0)), 0xd0000);
    wrmsr(0xc0000080, 0);
}

/* LME may not change while paging is on: 4 MB pages one to one. */
static void check_lme(void)
{
    uint32_t *dir = (uint32_t *)pd;

    for (unsigned n = 0; n < 1024; n++)
        dir[n] = n << 22 | 0x87;
    set_cr4(get_cr4() | 1 << 4);
    set_cr3((uint32_t)dir);
    set_cr0(get_cr0() | 1u << 31);
    check("lme while paging", trap_code(guard(set_lme_paging, 0)), 0xd0000);
    set_cr0(get_cr0() & ~(1u << 31));
    set_cr4(get_cr4() & ~(1u << 4));
}

void test_main(void)
{
    mask_pics();
    set_up();
    check_pieces();
    check_real();
    check_unreal();
    check_trust();
    check_vme();
    check_segments();
    check_long();
    check_lme();
    check_prefix = "after long mode, ";
    check("real, push", in_real(s_push, false), 2);
    check("real, int 40", in_real(s_int40, false), 0x2011);
    check("unreal, read at 1 mb", in_real(u_read, true), 0xb002);
    check("virtual-8086, push", in_vm86(s_push, IOPL3), 2);
    check("16-bit protected, push", in_prot16(s_push), 2);
}
