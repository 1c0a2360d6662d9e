/* The soft TLB: filling is in mem.c, dropping is here. */
#include "x86/mmu.h"
#include "base/libc.h"

static struct tlb_entry empty_at(size_t slot)
{
    return (struct tlb_entry){tlb_none(slot), tlb_none(slot), 0, 0};
}

/* Entries of all tables lie one after the other. */
static size_t slot_of(const struct cpu *c, const struct tlb_entry *e)
{
    return (size_t)(e - c->tlbs[0]) & (TLB_SIZE - 1);
}

void tlb_forget_stack(struct cpu *c)
{
    c->stack.page = STACK_NONE;
    c->stack.addend = (uint64_t)(uintptr_t)c->nowhere - STACK_NONE;
}

void tlb_drop_entry(struct cpu *c, struct tlb_entry *e)
{
    tlb_forget_stack(c);
    *e = empty_at(slot_of(c, e));
}

void tlb_drop_write(struct cpu *c, struct tlb_entry *e)
{
    tlb_forget_stack(c);
    e->write = tlb_none(slot_of(c, e));
}

/* n counts through both tables. */
static void itlb_drop(struct cpu *c, unsigned n, bool keep_global)
{
    struct itlb_entry *e = &c->itlb[n / ITLB_SIZE][n % ITLB_SIZE];

    if (!keep_global || !e->global)
        e->tag = TLB_NONE;
}

static void itlb_flush(struct cpu *c, bool keep_global)
{
    unsigned listed = c->itlb_nonglobals;

    tlb_forget_stack(c);
    c->tlb_generation++;
    c->stats.tlb_flushes++;
    c->itlb_nonglobals = 0;
    if (keep_global && listed <= ITLB_LISTED) {
        for (unsigned n = 0; n < listed; n++)
            itlb_drop(c, c->itlb_nonglobal[n], true);
        return;
    }
    for (unsigned n = 0; n < 2 * ITLB_SIZE; n++)
        itlb_drop(c, n, keep_global);
}

void tlb_flush_all(struct cpu *c)
{
    /* The last table stays as the first flush makes it. */
    unsigned tables =
        c->tlbs[TLB_USER_AC][0].read == tlb_none(0) ? TLB_MODES : TLB_TABLES;

    for (unsigned m = 0; m < tables; m++)
        for (unsigned n = 0; n < TLB_SIZE; n++)
            c->tlbs[m][n] = empty_at(n);
    memset(c->large_seen, 0, sizeof c->large_seen);
    for (unsigned m = 0; m < TLB_MODES; m++)
        c->nonglobals[m] = 0;
    c->window.size = 0;
    c->flushes_all++;
    itlb_flush(c, false);
}

static void drop_nonglobal(struct cpu *c, struct tlb_entry *e)
{
    if (!(e->gpa & TLB_GLOBAL))
        tlb_drop_entry(c, e);
}

void tlb_flush_nonglobal(struct cpu *c)
{
    for (unsigned m = 0; m < TLB_MODES; m++) {
        unsigned listed = c->nonglobals[m];

        if (listed <= TLB_LISTED)
            for (unsigned n = 0; n < listed; n++)
                drop_nonglobal(c, &c->tlbs[m][c->nonglobal[m][n]]);
        else
            for (unsigned n = 0; n < TLB_SIZE; n++)
                drop_nonglobal(c, &c->tlbs[m][n]);
        c->nonglobals[m] = 0;
    }
    memset(c->large_seen[false], 0, sizeof c->large_seen[false]);
    c->flushes_nonglobal++;
    itlb_flush(c, true);
}

/* --- large pages --- */

/*
 * They are cached as the 4 KB pieces that were touched, and INVLPG of any of
 * their addresses drops all of them. What is larger than 2 MB is rare enough
 * to be taken for 1 GB.
 */
enum { SHIFT_2M = 21, SHIFT_1G = 30 };

static unsigned large_bit(gva_t a, unsigned shift)
{
    return (unsigned)((a >> shift) * 0x9e3779b97f4a7c15ull >> shift) %
           TLB_LARGE_SEEN;
}

void tlb_note_large(struct cpu *c, gva_t a, uint64_t size, bool global)
{
    unsigned n = large_bit(a, size > BIT64(SHIFT_2M) ? SHIFT_1G : SHIFT_2M);

    c->large_seen[global][n / 64] |= BIT64(n % 64);
}

static bool is_large(const struct cpu *c, gva_t a, unsigned shift)
{
    unsigned n = large_bit(a, shift);

    return (c->large_seen[false][n / 64] | c->large_seen[true][n / 64]) >>
               n % 64 &
           1;
}

static void flush_large(struct cpu *c, gva_t a, unsigned shift)
{
    uint64_t first = a >> shift << shift >> PAGE_SHIFT;
    uint64_t pieces = BIT64(shift - PAGE_SHIFT);

    for (unsigned m = 0; m < TLB_MODES; m++)
        for (uint64_t n = 0; n < MIN(pieces, (uint64_t)TLB_SIZE); n++) {
            struct tlb_entry *e = &c->tlbs[m][(first + n) & (TLB_SIZE - 1)];

            if ((e->gpa & TLB_LARGE) && !((e->read ^ a) >> shift))
                tlb_drop_entry(c, e);
        }
    for (unsigned n = 0; n < 2 * ITLB_SIZE; n++)
        if (!((c->itlb[n / ITLB_SIZE][n % ITLB_SIZE].tag ^ a) >> shift))
            itlb_drop(c, n, false);
}

static void note_flush(struct cpu *c, gva_t a)
{
    c->flushed[c->flushes_page++ % TLB_FLUSHED] = a;
}

void tlb_flush_page(struct cpu *c, gva_t a)
{
    tlb_forget_stack(c);
    c->tlb_generation++;
    c->stats.tlb_flushes++;
    for (unsigned m = 0; m < TLB_MODES; m++) {
        struct tlb_entry *e = &c->tlbs[m][(a >> PAGE_SHIFT) & (TLB_SIZE - 1)];

        if (e->read == (a & PAGE_MASK) || e->write == (a & PAGE_MASK))
            tlb_drop_entry(c, e);
    }
    note_flush(c, a & PAGE_MASK);
    if (is_large(c, a, SHIFT_2M)) {
        flush_large(c, a, SHIFT_2M);
        note_flush(c, (a & PAGE_MASK) | TLB_LARGE);
    }
    if (is_large(c, a, SHIFT_1G)) {
        flush_large(c, a, SHIFT_1G);
        c->flushes_all++;
    }
    for (unsigned m = 0; m < 2; m++) {
        struct itlb_entry *e = &c->itlb[m][(a >> PAGE_SHIFT) & (ITLB_SIZE - 1)];

        if (e->tag == (a & PAGE_MASK))
            e->tag = TLB_NONE;
    }
}

/* --- who writes a page --- */

static struct tlb_writers *writers_of(struct cpu *c, gpa_t page)
{
    uint64_t n = page >> PAGE_SHIFT;

    return &c->writers[(n ^ n >> 12) & (TLB_WRITERS - 1)];
}

static struct tlb_entry *writer(struct cpu *c, struct tlb_writers *w,
                                unsigned k)
{
    return &c->tlbs[0][w->entry[k]];
}

/* What has become another bucket's page is in the list there, too. */
static void remove_stale(struct cpu *c, struct tlb_writers *w)
{
    unsigned kept = 0;

    for (unsigned k = 0; k < w->n; k++) {
        const struct tlb_entry *e = writer(c, w, k);

        if ((e->gpa & TLB_WRITABLE) && writers_of(c, e->gpa & PAGE_MASK) == w)
            w->entry[kept++] = w->entry[k];
    }
    w->n = (uint8_t)kept;
}

void tlb_note_write(struct cpu *c, const struct tlb_entry *e, gpa_t page)
{
    struct tlb_writers *w = writers_of(c, page);
    uint16_t entry = (uint16_t)(e - c->tlbs[0]);

    if (w->lost)
        return;
    for (unsigned k = 0; k < w->n; k++)
        if (w->entry[k] == entry)
            return;
    if (w->n == TLB_WRITER_ENTRIES)
        remove_stale(c, w);
    if (w->n == TLB_WRITER_ENTRIES)
        w->lost = true;
    else
        w->entry[w->n++] = entry;
}

/* Of all pages that share these: afterwards they are known again. */
static void forget_lost(struct cpu *c, struct tlb_writers *w)
{
    for (unsigned m = 0; m < TLB_MODES; m++)
        for (unsigned n = 0; n < TLB_SIZE; n++) {
            struct tlb_entry *e = &c->tlbs[m][n];

            if (writers_of(c, e->gpa & PAGE_MASK) == w)
                tlb_drop_write(c, e);
        }
    w->lost = false;
    w->n = 0;
}

void tlb_forget_writes(struct cpu *c, gpa_t page)
{
    struct tlb_writers *w = writers_of(c, page);

    /* Its entry may be another's by now, and not listed. */
    tlb_forget_stack(c);
    if (w->lost) {
        forget_lost(c, w);
        return;
    }
    for (unsigned k = 0; k < w->n; k++)
        if ((writer(c, w, k)->gpa & PAGE_MASK) == page)
            tlb_drop_write(c, writer(c, w, k));
}
