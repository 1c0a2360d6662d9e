/*
 * How bodies get at their operands: registers, immediates and the memory
 * operand; and read-modify-write of a destination, plain and locked.
 *
 * Values come zero-extended to 64 bits; of values to write the low bytes
 * count. Sizes are in bytes.
 *
 * A memory destination that is read first is checked for writing by the read,
 * as CPUs do, so that nothing has changed when it faults.
 */
#ifndef X86_OPERAND_H
#define X86_OPERAND_H

#include "base/bits.h"
#include "x86/mem.h"
#include "x86/split_lock.h"

/* --- general registers --- */
/* reg 0x10 + n with size 1 is AH, CH, DH, BH. */
static ALWAYS_INLINE uint64_t gpr_read(const struct cpu *c, unsigned reg,
                                       unsigned n)
{
    switch (n) {
    case 1:
        return reg & 0x10 ? (uint8_t)(c->s.gpr[reg & 3] >> 8)
                          : (uint8_t)c->s.gpr[reg];
    case 2: return (uint16_t)c->s.gpr[reg];
    case 4: return (uint32_t)c->s.gpr[reg];
    default: return c->s.gpr[reg];
    }
}

/* 1 and 2 bytes merge, 4 zero-extend. */
static ALWAYS_INLINE void gpr_write(struct cpu *c, unsigned reg, unsigned n,
                                    uint64_t v)
{
    uint64_t *r = &c->s.gpr[reg & 15];

    switch (n) {
    case 1:
        if (reg & 0x10)
            *r = (*r & ~0xff00ull) | (uint64_t)(uint8_t)v << 8;
        else
            *r = (*r & ~0xffull) | (uint8_t)v;
        break;
    case 2: *r = (*r & ~0xffffull) | (uint16_t)v; break;
    case 4: *r = (uint32_t)v; break;
    default: *r = v; break;
    }
}

/* --- the memory operand --- */
static ALWAYS_INLINE gva_t op_address(struct cpu *c, const struct insn *i,
                                      unsigned n, bool write)
{
    return x86_linear(c, i->seg, x86_ea(c, i), n, write);
}

static ALWAYS_INLINE bool op_is_mem(const struct insn *i, unsigned k)
{
    return i->opnd[k].kind == OPND_MEM;
}

/* --- operand k: general register, memory or immediate --- */
static ALWAYS_INLINE uint64_t op_read(struct cpu *c, const struct insn *i,
                                      unsigned k)
{
    const struct operand *o = &i->opnd[k];

    if (o->kind == OPND_GPR)
        return gpr_read(c, o->reg, o->size);
    if (o->kind == OPND_MEM)
        return mem_read(c, op_address(c, i, o->size, false), o->size);
    return i->imm & mask_low(8 * o->size);
}

static ALWAYS_INLINE void op_write(struct cpu *c, const struct insn *i,
                                   unsigned k, uint64_t v)
{
    const struct operand *o = &i->opnd[k];

    if (o->kind == OPND_GPR)
        gpr_write(c, o->reg, o->size, v);
    else
        mem_write(c, op_address(c, i, o->size, true), v, o->size);
}

/* Is this operand a memory destination under LOCK? XCHG needs no prefix. */
static ALWAYS_INLINE bool op_locked(const struct insn *i)
{
    return unlikely(i->flags & INSN_LOCK);
}

/* --- read-modify-write of memory, without LOCK --- */
struct rmw {
    gva_t a;
    uint8_t *host; /* NULL: not RAM that may be written straight */
};

static ALWAYS_INLINE uint64_t rmw_read(struct cpu *c, struct rmw *m, gva_t a,
                                       unsigned n)
{
    struct tlb_entry *e = tlb_at(c, a);

    m->a = a;
    if (likely(e->write == ((a + n - 1) & PAGE_MASK)) && !tlb_crosses(a, n)) {
        m->host = (uint8_t *)(uintptr_t)(a + e->addend);
        return load_le(m->host, n);
    }
    m->host = NULL;
    mem_probe(c, a, n, true);
    return mem_read(c, a, n);
}

/* Does not fault after rmw_read(). */
static ALWAYS_INLINE void rmw_write(struct cpu *c, const struct rmw *m,
                                    unsigned n, uint64_t v)
{
    if (likely(m->host))
        store_le(m->host, v, n);
    else
        mem_write(c, m->a, v, n);
}

/* Operand k, register or memory. op_update() writes what op_fetch() read. */
static ALWAYS_INLINE uint64_t op_fetch(struct cpu *c, const struct insn *i,
                                       unsigned k, struct rmw *m)
{
    const struct operand *o = &i->opnd[k];

    m->a = 0;
    m->host = NULL;
    if (o->kind == OPND_GPR)
        return gpr_read(c, o->reg, o->size);
    return rmw_read(c, m, op_address(c, i, o->size, true), o->size);
}

static ALWAYS_INLINE void op_update(struct cpu *c, const struct insn *i,
                                    unsigned k, const struct rmw *m, uint64_t v)
{
    const struct operand *o = &i->opnd[k];

    if (o->kind == OPND_GPR)
        gpr_write(c, o->reg, o->size, v);
    else
        rmw_write(c, m, o->size, v);
}

/* --- read-modify-write under LOCK --- */
/*
 * Used as:
 *   lock_begin(c, &l, op_address(c, i, n, true), n);
 *   do
 *       old = lock_read(c, &l);
 *   while (!lock_commit(c, &l, old, f(old)));
 * Nothing between begin and commit may fault. Commit may need a retry.
 */
struct lock {
    gva_t a;
    void *host; /* NULL: the rare way, with others of its kind held off */
    unsigned n;
    bool in_ram; /* then: by split */
    struct split_lock split;
};

static inline void lock_begin(struct cpu *c, struct lock *l, gva_t a,
                              unsigned n)
{
    l->a = a;
    l->n = n;
    /*
     * One that crosses a cache line is no atomic access on most hosts, and
     * some kill a process that tries ("split lock").
     */
    l->host = (a & 63) + n <= 64 ? mem_writable(c, a, n) : NULL;
#ifndef __x86_64__
    if (a & (n - 1))
        l->host = NULL;
#endif
    if (l->host)
        return;
    mem_rmw_begin(c, a, n);
    l->in_ram = (a & 63) + n > 64 && split_begin(c, &l->split, a, n);
}

/* Guest order to host order and back. */
static inline uint64_t lock_swap(uint64_t v, unsigned n)
{
    uint8_t b[8];

    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ || n == 1)
        return v;
    memcpy(b, &v, 8);
    return load_le(b + 8 - n, n);
}

static inline uint64_t lock_read(struct cpu *c, struct lock *l)
{
    uint64_t v;

    if (unlikely(!l->host))
        return l->in_ram ? split_read(&l->split) : mem_read(c, l->a, l->n);
    switch (l->n) {
    case 1: v = __atomic_load_n((uint8_t *)l->host, __ATOMIC_SEQ_CST); break;
    case 2: v = __atomic_load_n((uint16_t *)l->host, __ATOMIC_SEQ_CST); break;
    case 4: v = __atomic_load_n((uint32_t *)l->host, __ATOMIC_SEQ_CST); break;
    default: v = __atomic_load_n((uint64_t *)l->host, __ATOMIC_SEQ_CST); break;
    }
    return lock_swap(v, l->n);
}

static inline bool lock_exchange_if(void *p, unsigned n, uint64_t old,
                                    uint64_t v)
{
    uint8_t old1 = (uint8_t)old;
    uint16_t old2 = (uint16_t)old;
    uint32_t old4 = (uint32_t)old;

    switch (n) {
    case 1:
        return __atomic_compare_exchange_n((uint8_t *)p, &old1, (uint8_t)v,
                                           false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    case 2:
        return __atomic_compare_exchange_n((uint16_t *)p, &old2, (uint16_t)v,
                                           false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    case 4:
        return __atomic_compare_exchange_n((uint32_t *)p, &old4, (uint32_t)v,
                                           false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    default:
        return __atomic_compare_exchange_n((uint64_t *)p, &old, v, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
}

/* Stores v if the memory still holds old; false: begin again with a read. */
static inline bool lock_commit(struct cpu *c, struct lock *l, uint64_t old,
                               uint64_t v)
{
    if (likely(l->host))
        return lock_exchange_if(l->host, l->n, lock_swap(old, l->n),
                                lock_swap(v, l->n));
    if (!l->in_ram)
        mem_write(c, l->a, v, l->n);
    else if (!split_commit(&l->split, v))
        return false;
    mem_rmw_end(c);
    return true;
}

/* --- addresses --- */
static inline bool is_canonical(const struct cpu *c, uint64_t a)
{
    return (uint64_t)sign_extend(a, c->model->linear_bits) == a;
}

#endif
