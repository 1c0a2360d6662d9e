/*
 * Raising exceptions, what becomes of one that is raised while another is
 * delivered, and what the debug registers and RFLAGS.RF show of it. SDM volume
 * 3, chapters 6 and 18; table 6-5.
 */
#include "x86/flags.h"
#include "x86/system.h"

/* --- raising --- */

NORETURN void x86_unwind(struct cpu *c, enum unwind how)
{
    if (c->access_borrowed)
        x86_mode_changed(c);
    c->unwind = (uint8_t)how;
    __builtin_longjmp(c->unwind_buf, 1);
}

NORETURN void x86_raise(struct cpu *c, unsigned vector)
{
    c->exc = (struct x86_exception){.vector = (uint8_t)vector};
    x86_unwind(c, UNWIND_EXCEPTION);
}

NORETURN void x86_raise_error(struct cpu *c, unsigned vector, uint32_t error)
{
    c->exc = (struct x86_exception){
        .vector = (uint8_t)vector, .has_error = true, .error = error};
    x86_unwind(c, UNWIND_EXCEPTION);
}

NORETURN void x86_raise_gp0(struct cpu *c)
{
    x86_raise_error(c, EXC_GP, 0);
}

NORETURN void x86_raise_selector(struct cpu *c, unsigned vector, uint16_t sel,
                                 unsigned ext)
{
    x86_raise_error(c, vector, (sel & ~(uint32_t)SEL_RPL) | ext);
}

NORETURN void x86_raise_pf(struct cpu *c, gva_t address, uint32_t error)
{
    c->exc = (struct x86_exception){
        .vector = EXC_PF, .has_error = true, .error = error, .cr2 = address};
    x86_unwind(c, UNWIND_EXCEPTION);
}

NORETURN void x86_raise_db(struct cpu *c, uint64_t dr6)
{
    c->exc = (struct x86_exception){.vector = EXC_DB, .dr6 = dr6};
    x86_unwind(c, UNWIND_EXCEPTION);
}

/* --- two at a time --- */

enum exc_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum exc_class class_of(unsigned vector)
{
    switch (vector) {
    case EXC_DE:
    case EXC_TS:
    case EXC_NP:
    case EXC_SS:
    case EXC_GP: return CONTRIBUTORY;
    case EXC_PF: return PAGE_FAULT;
    case EXC_DF: return DOUBLE_FAULT;
    default: return BENIGN;
    }
}

/* c->exc came while c->delivering was on its way. */
static void combine(struct cpu *c)
{
    enum exc_class first = class_of((uint8_t)c->delivering),
                   second = class_of(c->exc.vector);

    if (second == BENIGN)
        return;
    if (first == DOUBLE_FAULT) {
        c->delivering = -1;
        c->s.activity = CPU_SHUTDOWN;
        x86_unwind(c, UNWIND_SHUTDOWN);
    }
    if (first == PAGE_FAULT || (first == CONTRIBUTORY && second == first))
        c->exc = (struct x86_exception){.vector = EXC_DF, .has_error = true};
}

/* --- delivery --- */

/* Faults return to the instruction, which RF then shields from a breakpoint on
   it; a breakpoint's own #DB and traps leave RF as it is (SDM 18.3.1.1). */
static bool sets_rf(const struct x86_exception *x)
{
    if (x->soft)
        return false;
    switch (x->vector) {
    case EXC_DB: return x->dr6 & DR6_BD;
    case EXC_NMI:
    case EXC_BP:
    case EXC_OF:
    case EXC_DF:
    case EXC_MC: return false;
    default: return true;
    }
}

static void enter_debug(struct cpu *c, uint64_t dr6)
{
    c->s.dr[6] = (c->s.dr[6] & ~0xfull) | dr6;
    c->s.dr[7] &= ~(uint64_t)DR7_GD;
}

void x86_deliver(struct cpu *c)
{
    struct x86_exception *x = &c->exc;
    struct event e;

    c->insn = NULL;
    c->stats.exceptions++;
    if (x->vector == EXC_PF)
        c->s.cr2 = x->cr2;
    if (c->delivering >= 0)
        combine(c);
    if (x->vector == EXC_DB && !x->soft)
        enter_debug(c, x->dr6);
    /* What the instruction hit before it faulted, it will hit again; what MOV
       SS before it hit waits on. */
    if (!x->soft && !c->s.movss_shadow)
        c->s.pending_db = 0;
    e = (struct event){
        .vector = x->vector,
        .has_error = x->has_error,
        .error = x->error,
        .software = x->soft,
        .ext = !x->soft,
        .rip = c->s.rip,
        .flags = flags_get(c) | (sets_rf(x) ? FLAG_RF : 0),
    };
    if (!x->soft)
        c->delivering = (int8_t)x->vector;
    x86_deliver_event(c, &e);
    c->delivering = -1;
}

void x86_deliver_interrupt(struct cpu *c, unsigned vector, bool nmi)
{
    struct event e = {.vector = (uint8_t)vector,
                      .ext = 1,
                      .rip = c->s.rip,
                      .flags = flags_get(c)};

    c->insn = NULL;
    c->stats.interrupts++;
    if (nmi)
        c->s.nmi_blocked = true;
    x86_deliver_event(c, &e);
}
