/* Addition, subtraction, logic and the exchanges built on them. */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

enum alu {
    ALU_ADD,
    ALU_OR,
    ALU_ADC,
    ALU_SBB,
    ALU_AND,
    ALU_SUB,
    ALU_XOR,
    ALU_CMP,
    ALU_TEST,
    ALU_INC,
    ALU_DEC,
    ALU_NEG,
    ALU_NOT
};

static ALWAYS_INLINE uint64_t alu_result(enum alu op, uint64_t a, uint64_t b,
                                         bool carry)
{
    switch (op) {
    case ALU_ADD: return a + b;
    case ALU_OR: return a | b;
    case ALU_ADC: return a + b + carry;
    case ALU_SBB: return a - b - carry;
    case ALU_AND:
    case ALU_TEST: return a & b;
    case ALU_SUB:
    case ALU_CMP: return a - b;
    case ALU_XOR: return a ^ b;
    case ALU_INC: return a + 1;
    case ALU_DEC: return a - 1;
    case ALU_NEG: return 0 - a;
    default: return ~a;
    }
}

static ALWAYS_INLINE void alu_flags(struct cpu *c, enum alu op, uint64_t a,
                                    uint64_t b, bool carry, uint64_t r,
                                    unsigned n)
{
    switch (op) {
    case ALU_ADD: flags_add(c, r, b, n); break;
    case ALU_ADC: flags_adc(c, r, b, carry, n); break;
    case ALU_SBB: flags_sbb(c, a, b, carry, n); break;
    case ALU_SUB:
    case ALU_CMP: flags_sub(c, a, b, n); break;
    case ALU_INC: flags_inc(c, r, n); break;
    case ALU_DEC: flags_dec(c, r, n); break;
    case ALU_NEG: flags_sub(c, 0, a, n); break;
    case ALU_NOT: break;
    default: flags_logic(c, r, n); break;
    }
}

static COLD void alu_locked(struct cpu *c, const struct insn *i, enum alu op,
                            uint64_t b, bool carry)
{
    unsigned n = i->opnd[0].size;
    struct lock l;
    uint64_t a, r;

    lock_begin(c, &l, op_address(c, i, n, true), n);
    do {
        a = lock_read(c, &l);
        r = alu_result(op, a, b, carry);
    } while (!lock_commit(c, &l, a, r));
    alu_flags(c, op, a, b, carry, r, n);
}

/* op is a constant at every call, so that each body is its own code. */
static ALWAYS_INLINE void alu(struct cpu *c, const struct insn *i, enum alu op)
{
    bool unary = op >= ALU_INC, writes = op != ALU_CMP && op != ALU_TEST;
    bool carry = op == ALU_ADC || op == ALU_SBB ? flags_cf(c) : false;
    uint64_t b = unary ? 0 : op_read(c, i, 1), a, r;
    unsigned n = i->opnd[0].size;
    struct rmw m;

    if (!writes) {
        a = op_read(c, i, 0);
        alu_flags(c, op, a, b, false, alu_result(op, a, b, false), n);
        return;
    }
    if (op_locked(i)) {
        alu_locked(c, i, op, b, carry);
        return;
    }
    a = op_fetch(c, i, 0, &m);
    r = alu_result(op, a, b, carry);
    alu_flags(c, op, a, b, carry, r, n);
    op_update(c, i, 0, &m, r);
}

void op_add(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_ADD);
}

void op_or(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_OR);
}

void op_adc(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_ADC);
}

void op_sbb(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_SBB);
}

void op_and(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_AND);
}

void op_sub(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_SUB);
}

void op_xor(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_XOR);
}

void op_cmp(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_CMP);
}

void op_test(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_TEST);
}

void op_inc(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_INC);
}

void op_dec(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_DEC);
}

void op_neg(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_NEG);
}

void op_not(struct cpu *c, const struct insn *i)
{
    alu(c, i, ALU_NOT);
}

/* With memory XCHG is locked, prefix or not. */
void op_xchg(struct cpu *c, const struct insn *i)
{
    unsigned k = op_is_mem(i, 1) ? 0 : 1, n = i->opnd[0].size;
    uint64_t v = op_read(c, i, k), old;
    struct lock l;

    if (!op_is_mem(i, !k)) {
        old = op_read(c, i, !k);
        op_write(c, i, !k, v);
    } else {
        lock_begin(c, &l, op_address(c, i, n, true), n);
        do
            old = lock_read(c, &l);
        while (!lock_commit(c, &l, old, v));
    }
    op_write(c, i, k, old);
}

void op_xadd(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    uint64_t b = op_read(c, i, 1), a;
    struct lock l;
    struct rmw m;

    if (op_locked(i)) {
        lock_begin(c, &l, op_address(c, i, n, true), n);
        do
            a = lock_read(c, &l);
        while (!lock_commit(c, &l, a, a + b));
        op_write(c, i, 1, a);
    } else {
        a = op_fetch(c, i, 0, &m);
        op_write(c, i, 1, a); /* first: the destination may be it too */
        op_update(c, i, 0, &m, a + b);
    }
    flags_add(c, a + b, b, n);
}

/*
 * When they differ CPUs leave a register destination alone (a 32-bit one is
 * not zero-extended), and so do we memory without LOCK: what another CPU
 * stores in between is not undone.
 */
void op_cmpxchg(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    uint64_t v = op_read(c, i, 1), acc = gpr_read(c, RAX, n), old;
    struct lock l;
    struct rmw m;

    if (op_locked(i)) {
        lock_begin(c, &l, op_address(c, i, n, true), n);
        do
            old = lock_read(c, &l);
        while (!lock_commit(c, &l, old, old == acc ? v : old));
    } else {
        old = op_fetch(c, i, 0, &m);
        if (old == acc)
            op_update(c, i, 0, &m, v);
    }
    if (old != acc)
        gpr_write(c, RAX, n, old);
    flags_sub(c, acc, old, n);
}

void op_cmpxchg8b(struct cpu *c, const struct insn *i)
{
    uint64_t *r = c->s.gpr, old;
    uint64_t expected = r[RDX] << 32 | (uint32_t)r[RAX];
    uint64_t v = r[RCX] << 32 | (uint32_t)r[RBX];
    struct lock l;

    lock_begin(c, &l, op_address(c, i, 8, true), 8);
    do
        old = lock_read(c, &l);
    while (!lock_commit(c, &l, old, old == expected ? v : old));
    if (old != expected) {
        r[RAX] = (uint32_t)old;
        r[RDX] = old >> 32;
    }
    flags_change(c, FLAG_ZF, old == expected ? FLAG_ZF : 0);
}

struct wide {
    uint64_t low, high;
};

#ifdef __x86_64__
/* Compilers make it a library call where not every x86-64 CPU has it. */
static bool exchange16(void *p, struct wide *old, const struct wide *v)
{
    bool same;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(same), "+m"(*(struct wide *)p), "+a"(old->low),
                       "+d"(old->high)
                     : "b"(v->low), "c"(v->high)
                     : "memory");
    return same;
}
#endif

/* If [a] holds *old, stores v; *old becomes what [a] held. */
static bool compare_exchange16(struct cpu *c, gva_t a, struct wide *old,
                               const struct wide *v)
{
    struct wide was;
    bool same;

#ifdef __x86_64__
    void *host = mem_writable(c, a, 16);

    if (host)
        return exchange16(host, old, v);
#endif
    mem_rmw_begin(c, a, 16);
    was.low = mem_read(c, a, 8);
    was.high = mem_read(c, a + 8, 8);
    same = was.low == old->low && was.high == old->high;
    mem_write(c, a, same ? v->low : was.low, 8);
    mem_write(c, a + 8, same ? v->high : was.high, 8);
    mem_rmw_end(c);
    *old = was;
    return same;
}

void op_cmpxchg16b(struct cpu *c, const struct insn *i)
{
    uint64_t *r = c->s.gpr;
    struct wide old = {r[RAX], r[RDX]}, v = {r[RBX], r[RCX]};
    gva_t a = op_address(c, i, 16, true);
    bool same;

    if (a & 15)
        x86_raise_gp0(c);
    same = compare_exchange16(c, a, &old, &v);
    if (!same) {
        r[RAX] = old.low;
        r[RDX] = old.high;
    }
    flags_change(c, FLAG_ZF, same ? FLAG_ZF : 0);
}
