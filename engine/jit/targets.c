/*
 * Where indirect branches go. Each table is of one mode, so that a target's
 * own check of RIP is all that a jump through it needs (emit_dispatch()); but
 * for the last, of all odd modes, whose blocks check all of that.
 */
#include "engine/jit/jit.h"
#include "base/libc.h"

/* No mode: MODE_ALONE is never alone. */
#define NO_MODE MODE_ALONE

/* In recent_block.block, whose pointers are aligned. */
#define RECENT_COLD ((uintptr_t)1)

enum { ODD = JIT_TABLES - 1, OTHERS = ODD - 1 };

/*
 * User mode in 64-bit segments, supervisor mode, the same under SMAP, all
 * other flat ones, and the odd ones.
 */
unsigned jit_table(uint32_t mode)
{
    unsigned tlb_mode = mode >> 24 & 3;

    if (jit_is_odd(mode))
        return ODD;
    if (tlb_mode == TLB_USER && !(mode & MODE_CODE64))
        return OTHERS;
    return MIN(tlb_mode, (unsigned)OTHERS);
}

enum { HALF = JIT_TARGETS / 2 };

/* Bits of RIP: the halves of the canonical addresses have each their own. */
#define TARGET_MASK (BIT64(47) | (HALF - 1))

static void forget_half(struct jit_cpu *c, unsigned table, unsigned half)
{
    for (unsigned n = 0; n < HALF; n++)
        __atomic_store_n(&c->targets[table][half * HALF + n],
                         c->jit->thunk.missed, __ATOMIC_RELAXED);
    c->half_used[table][half] = false;
}

/* Whose a table is that has targets of this mode. */
static uint32_t owner(uint32_t mode)
{
    return jit_is_odd(mode) ? 0 : mode;
}

void jit_own_table(struct jit_cpu *c, uint32_t mode)
{
    unsigned table = jit_table(mode);

    mode = owner(mode);
    if (c->table_mode[table] == mode)
        return;
    for (unsigned half = 0; half < 2; half++)
        if (c->half_used[table][half])
            forget_half(c, table, half);
    c->table_mode[table] = mode;
}

void jit_disown_tables(struct jit_cpu *c)
{
    for (unsigned n = 0; n < JIT_TABLES; n++) {
        c->table_mode[n] = NO_MODE;
        /* To begin with, they are not even empty. */
        c->half_used[n][0] = c->half_used[n][1] = true;
    }
    memset(c->recent, 0, sizeof c->recent);
}

static unsigned half_of(gva_t a)
{
    return a >> 47 & 1;
}

static unsigned slot_of(gva_t a)
{
    return (unsigned)(a & (HALF - 1)) | half_of(a) * HALF;
}

static unsigned recent_slot(gva_t a)
{
    return (a ^ a >> 15 ^ a >> 30) & (JIT_RECENT - 1);
}

static gva_t linear_of(const struct jit_block *b)
{
    return jit_linear(b->mode, b->cs, b->rip);
}

void jit_set_target(struct jit_cpu *c, struct jit_block *b)
{
    gva_t a = linear_of(b);
    unsigned slot = slot_of(a), table = jit_table(b->mode);

    c->recent[recent_slot(a)] = (struct recent_block){a, (uintptr_t)b};
    if (!slot) /* where a poll goes */
        return;
    c->half_used[table][half_of(a)] = true;
    __atomic_store_n(&c->targets[table][slot], b->indirect, __ATOMIC_RELEASE);
}

void jit_forget_target(struct jit_cpu *c, const struct jit_block *b)
{
    const uint8_t *expected = b->indirect;

    __atomic_compare_exchange_n(
        &c->targets[jit_table(b->mode)][slot_of(linear_of(b))], &expected,
        c->jit->thunk.missed, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

const uint8_t *jit_target(struct jit_cpu *c, uint32_t mode, uint64_t rip)
{
    unsigned table = jit_table(mode);
    gva_t a = jit_linear(mode, jit_cs(&c->ic.cpu), rip);
    const uint8_t *code;

    if (c->table_mode[table] != owner(mode))
        return NULL;
    code = __atomic_load_n(&c->targets[table][slot_of(a)], __ATOMIC_ACQUIRE);
    return code == c->jit->thunk.missed ? NULL : code;
}

struct jit_block *jit_recent(struct jit_cpu *c, uint32_t mode, uint64_t rip)
{
    uint64_t cs = jit_cs(&c->ic.cpu);
    gva_t a = jit_linear(mode, cs, rip);
    const struct recent_block *r = &c->recent[recent_slot(a)];
    const struct jit_block *b = (const void *)r->block;

    if (r->linear != a || !b || r->block & RECENT_COLD)
        return NULL;
    return !b->dead && b->rip == rip && b->mode == mode && b->cs == cs
               ? (void *)r->block
               : NULL;
}

void jit_set_cold(struct jit_cpu *c, gva_t a, struct block *b)
{
    /* Where CS has a limit, it is for block_find() to look at. */
    if (b->page && (b->mode & (MODE_CODE64 | MODE_FLAT)))
        c->recent[recent_slot(a)] =
            (struct recent_block){a, (uintptr_t)b + RECENT_COLD};
}

struct block *jit_cold(struct jit_cpu *c, gva_t a, gpa_t gpa)
{
    const struct recent_block *r = &c->recent[recent_slot(a)];
    struct block *b;

    if (unlikely(c->cold_flushes != c->ic.flushes)) {
        jit_fp_evict(c); /* memset() uses vectors */
        memset(c->recent, 0, sizeof c->recent);
        c->cold_flushes = c->ic.flushes;
    }
    if (r->linear != a || !(r->block & RECENT_COLD))
        return NULL;
    b = (void *)(r->block - RECENT_COLD);
    return b->gpa == gpa && b->mode == c->ic.cpu.mode_key &&
                   b->gpa2 == NO_PAGE && block_is_fresh(b)
               ? b
               : NULL;
}

/* --- polling --- */

/* poll last: where it is clear, the mask stays as it is. */
void jit_interrupt(struct jit_cpu *c)
{
    atomic_store(&c->target_mask, 0);
    atomic_store(&jit_near(c)->poll, 1);
}

void jit_uninterrupt(struct jit_cpu *c)
{
    if (!atomic_load(&jit_near(c)->poll))
        return;
    atomic_store(&c->target_mask, TARGET_MASK);
    atomic_store(&jit_near(c)->poll, 0);
}
