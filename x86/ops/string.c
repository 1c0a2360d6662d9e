/*
 * String instructions. Repeated ones go through guest RAM a page at a time
 * where they can, and one element at a time elsewhere: MMIO, page crossings,
 * DF set, segments with odd limits. rCX, rSI and rDI are right whenever an
 * access may fault, so a fault or an interrupt in the middle is just the
 * instruction begun again with less to do.
 *
 * Overlapping moves give what moving element by element gives: programs fill
 * memory by moving a pattern onto itself.
 */
#include "x86/flags.h"
#include "x86/ops/ops.h"
#include "x86/ops/rep.h"

/* --- one page at a time --- */
/* A run of elements in host memory. */
struct run {
    uint64_t count; /* 0: go on with one element */
    const uint8_t *from;
    uint8_t *to;
};

/*
 * How many bytes from offset on stay in the page of the linear address a, the
 * address size and the segment (whose first element was checked already).
 */
static uint64_t room(const struct cpu *c, const struct insn *i, unsigned seg,
                     uint64_t offset, gva_t a)
{
    uint64_t bytes = PAGE_SIZE - (a & ~PAGE_MASK), left;
    const struct x86_seg *s = &c->s.seg[seg];

    left = mask_low(8 * i->asize) - offset; /* less one */
    if (left < bytes - 1)
        bytes = left + 1;
    if (in_code64(c) || (c->mode_key & MODE_FLAT && seg < FS))
        return bytes;
    if (!(s->attr & SEG_CODE) && (s->attr & SEG_DOWN))
        return 0;
    left = s->limit - offset;
    return left < bytes - 1 ? left + 1 : bytes;
}

static ALWAYS_INLINE const uint8_t *page_read(struct cpu *c, gva_t a)
{
    struct tlb_entry *e = tlb_at(c, a);

    if (likely(e->read == (a & PAGE_MASK)))
        return (const uint8_t *)(uintptr_t)(a + e->addend);
    return mem_page_read(c, a);
}

static ALWAYS_INLINE uint8_t *page_write(struct cpu *c, gva_t a)
{
    struct tlb_entry *e = tlb_at(c, a);

    if (likely(e->write == (a & PAGE_MASK)))
        return (uint8_t *)(uintptr_t)(a + e->addend);
    return mem_page_write(c, a);
}

/* What the source (in), the destination (out) or both allow. */
static ALWAYS_INLINE struct run run_at(struct cpu *c, const struct insn *i,
                                       uint64_t count, bool in, bool out,
                                       bool write)
{
    uint64_t bytes = PAGE_SIZE, si = rep_offset(c, i, RSI),
             di = rep_offset(c, i, RDI);
    struct run r = {0, NULL, NULL};
    gva_t from = 0, to = 0;

    if (c->s.rflags & FLAG_DF)
        return r;
    if (out && !write) { /* CMPS reads ES:rDI first */
        const uint8_t *p;

        to = x86_linear(c, ES, di, i->osize, false);
        bytes = room(c, i, ES, di, to);
        if (bytes < i->osize || !(p = page_read(c, to)))
            return r;
        r.to = (uint8_t *)(uintptr_t)p;
    }
    if (in) {
        from = x86_linear(c, i->seg, si, i->osize, false);
        bytes = MIN(bytes, room(c, i, i->seg, si, from));
    }
    if (out && write) {
        to = x86_linear(c, ES, di, i->osize, true);
        bytes = MIN(bytes, room(c, i, ES, di, to));
    }
    if (bytes < i->osize)
        return r;
    if (in && !(r.from = page_read(c, from)))
        return r;
    if (out && write && !(r.to = page_write(c, to)))
        return r;
    r.count = MIN(count, bytes / i->osize);
    return r;
}

/* --- MOVS --- */
static void movs_one(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize;
    gva_t from = x86_linear(c, i->seg, rep_offset(c, i, RSI), n, false);
    uint64_t v = mem_read(c, from, n);

    mem_write(c, x86_linear(c, ES, rep_offset(c, i, RDI), n, true), v, n);
    rep_advance(c, i, RSI, 1);
    rep_advance(c, i, RDI, 1);
}

static uint64_t movs_many(struct cpu *c, const struct insn *i, uint64_t count)
{
    struct run r = run_at(c, i, count, true, true, true);
    unsigned n = i->osize;
    size_t bytes = r.count * n;

    if (!bytes)
        return 0;
    if ((uintptr_t)r.to - (uintptr_t)r.from >= bytes)
        memmove(r.to, r.from, bytes);
    else /* the destination begins inside the source */
        for (size_t k = 0; k < bytes; k += n)
            store_le(r.to + k, load_le(r.from + k, n), n);
    rep_advance(c, i, RSI, r.count);
    rep_advance(c, i, RDI, r.count);
    return r.count;
}

void op_movs(struct cpu *c, const struct insn *i)
{
    rep_run(c, i, movs_one, movs_many);
}

/* --- STOS --- */
static void stos_one(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize;

    mem_write(c, x86_linear(c, ES, rep_offset(c, i, RDI), n, true),
              c->s.gpr[RAX], n);
    rep_advance(c, i, RDI, 1);
}

static uint64_t stos_many(struct cpu *c, const struct insn *i, uint64_t count)
{
    struct run r = run_at(c, i, count, false, true, true);
    unsigned n = i->osize;
    uint64_t v = gpr_read(c, RAX, n);

    if (!r.count)
        return 0;
    if (v == (v & 0xff) * (mask_low(8 * n) / 0xff))
        memset(r.to, (int)(v & 0xff), r.count * n);
    else
        for (size_t k = 0; k < r.count; k++)
            store_le(r.to + k * n, v, n);
    rep_advance(c, i, RDI, r.count);
    return r.count;
}

void op_stos(struct cpu *c, const struct insn *i)
{
    rep_run(c, i, stos_one, stos_many);
}

/* --- LODS: repeating it is of no use, so nothing makes it fast --- */
static void lods_one(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize;
    gva_t a = x86_linear(c, i->seg, rep_offset(c, i, RSI), n, false);

    gpr_write(c, RAX, n, mem_read(c, a, n));
    rep_advance(c, i, RSI, 1);
}

static uint64_t lods_many(struct cpu *c, const struct insn *i, uint64_t count)
{
    (void)c;
    (void)i;
    (void)count;
    return 0;
}

void op_lods(struct cpu *c, const struct insn *i)
{
    rep_run(c, i, lods_one, lods_many);
}

/* --- CMPS and SCAS --- */
/* The operands of the last comparison, for the flags. */
struct compared {
    uint64_t a, b;
};

typedef void (*compare_one)(struct cpu *c, const struct insn *i,
                            struct compared *last);
typedef uint64_t (*compare_many)(struct cpu *c, const struct insn *i,
                                 uint64_t count, bool until_equal,
                                 struct compared *last);

/*
 * The flags change only when it ends or is interrupted: a fault leaves them
 * as they were before the instruction (SDM volume 2, REP).
 */
static ALWAYS_INLINE void compare_run(struct cpu *c, const struct insn *i,
                                      compare_one one, compare_many many)
{
    uint64_t count = rep_count(c, i), bytes = 0, done;
    bool until_equal = i->flags & INSN_REPNE;
    struct compared last;

    if (!(i->flags & (INSN_REP | INSN_REPNE))) {
        one(c, i, &last);
        flags_sub(c, last.a, last.b, i->osize);
        return;
    }
    if (!count) {
        rep_nothing(c, i);
        return;
    }
    rep_set_count(c, i, count);
    for (;;) {
        done = many(c, i, rep_limit(c, count), until_equal, &last);
        if (!done) {
            one(c, i, &last);
            done = 1;
        }
        count -= done;
        rep_set_count(c, i, count);
        if (!count || (last.a == last.b) == until_equal)
            break;
        if (rep_must_pause(c, i, &bytes, done)) {
            flags_sub(c, last.a, last.b, i->osize);
            rep_pause(c, i);
        }
    }
    flags_sub(c, last.a, last.b, i->osize);
}

static void cmps_one(struct cpu *c, const struct insn *i, struct compared *last)
{
    unsigned n = i->osize;

    /* In this order, as CPUs do: it decides which one faults. */
    last->b =
        mem_read(c, x86_linear(c, ES, rep_offset(c, i, RDI), n, false), n);
    last->a =
        mem_read(c, x86_linear(c, i->seg, rep_offset(c, i, RSI), n, false), n);
    rep_advance(c, i, RSI, 1);
    rep_advance(c, i, RDI, 1);
}

static uint64_t cmps_many(struct cpu *c, const struct insn *i, uint64_t count,
                          bool until_equal, struct compared *last)
{
    struct run r = run_at(c, i, count, true, true, false);
    unsigned n = i->osize;
    uint64_t k = 0;

    while (k < r.count) {
        last->a = load_le(r.from + k * n, n);
        last->b = load_le(r.to + k * n, n);
        k++;
        if ((last->a == last->b) == until_equal)
            break;
    }
    rep_advance(c, i, RSI, k);
    rep_advance(c, i, RDI, k);
    return k;
}

void op_cmps(struct cpu *c, const struct insn *i)
{
    compare_run(c, i, cmps_one, cmps_many);
}

static void scas_one(struct cpu *c, const struct insn *i, struct compared *last)
{
    unsigned n = i->osize;
    gva_t a = x86_linear(c, ES, rep_offset(c, i, RDI), n, false);

    last->b = mem_read(c, a, n);
    last->a = gpr_read(c, RAX, n);
    rep_advance(c, i, RDI, 1);
}

static uint64_t scas_many(struct cpu *c, const struct insn *i, uint64_t count,
                          bool until_equal, struct compared *last)
{
    struct run r = run_at(c, i, count, false, true, false);
    unsigned n = i->osize;
    uint64_t k = 0;

    last->a = gpr_read(c, RAX, n);
    while (k < r.count) {
        last->b = load_le(r.to + k * n, n);
        k++;
        if ((last->a == last->b) == until_equal)
            break;
    }
    rep_advance(c, i, RDI, k);
    return k;
}

void op_scas(struct cpu *c, const struct insn *i)
{
    compare_run(c, i, scas_one, scas_many);
}
