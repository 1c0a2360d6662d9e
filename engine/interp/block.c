/* Finding and making blocks. */
#include "engine/interp/interp.h"
#include "base/libc.h"
#include "x86/outside.h"

/* --- instructions that only raise --- */

static void raise_ud(struct cpu *c, const struct insn *i)
{
    (void)i;
    x86_raise(c, EXC_UD);
}

static void raise_nm(struct cpu *c, const struct insn *i)
{
    (void)i;
    x86_raise(c, EXC_NM);
}

static void raise_gp0(struct cpu *c, const struct insn *i)
{
    (void)i;
    x86_raise_gp0(c);
}

bool interp_raises(op_fn f)
{
    return f == raise_ud || f == raise_nm || f == raise_gp0;
}

/* --- the bytes --- */

struct fetch {
    struct cpu *c;
    struct block *b;
    gva_t linear;       /* of the block */
    const uint8_t *ram; /* the block's first byte; NULL: not RAM */
    unsigned left;      /* bytes from there to the end of the page */
};

static gva_t second_page(const struct cpu *c, gva_t linear)
{
    gva_t next = (linear & PAGE_MASK) + PAGE_SIZE;

    return in_long_mode(c) ? next : (uint32_t)next;
}

/*
 * n bytes of one page at a. The claim comes before the reading, so that who
 * writes after us finds it.
 */
static void take(struct fetch *f, struct code_page *page, uint8_t *to,
                 const uint8_t *ram, gpa_t a, unsigned n)
{
    struct cpu *c = f->c;

    if (page && code_pages_claim(interp_of(c)->pages, page, c->vcpu, a, n))
        tlb_forget_writes(c, a & PAGE_MASK);
    for (unsigned k = 0; k < n; k++)
        to[k] = ram ? ram[k]
                    : (uint8_t)x86_outside_read(c, OUTSIDE_DEVICE, a + k, 1);
}

/* The instruction's bytes in the second page; may raise #PF. */
static void take_second(struct fetch *f, uint8_t *to, unsigned n)
{
    struct block *b = f->b;
    const uint8_t *ram;

    b->gpa2 = mem_fetch_page(f->c, second_page(f->c, f->linear), &ram);
    b->page2 = ram ? code_pages_at(interp_of(f->c)->pages, b->gpa2) : NULL;
    if (b->page2)
        b->generation2 = atomic_load(&b->page2->generation);
    take(f, b->page2, to, ram, b->gpa2, n);
}

/* --- decoding --- */

enum decode_mode block_decode_mode(uint32_t mode)
{
    if (mode & MODE_CODE64)
        return DECODE_64;
    return mode & MODE_CODE32 ? DECODE_32 : DECODE_16;
}

static op_fn choose(const struct cpu *c, const struct insn *i, uint32_t mode)
{
    switch (x86_check_row_static(c, i)) {
    case CHECK_UD: return raise_ud;
    case CHECK_NM: return raise_nm;
    case CHECK_GP0: return raise_gp0;
    case CHECK_OK: break;
    }
    return insn_opcode(i)->body ? interp_bind(i, mode) : raise_ud;
}

enum progress { GO_ON, LAST, NOT_THIS };

/* Decodes the instruction at byte `at` of the block. */
static enum progress decode_one(struct fetch *f, unsigned at, struct insn *i)
{
    enum decode_mode mode = block_decode_mode(f->b->mode);
    unsigned n = MIN(15, f->left - at);
    enum decode_result r;
    uint8_t bytes[16];

    take(f, f->b->page, bytes, f->ram ? f->ram + at : NULL, f->b->gpa + at, n);
    r = x86_decode(i, bytes, n, mode);
    if (r == DECODE_MORE && n < 15) {
        if (at)
            return NOT_THIS; /* a block of its own, for its own page fault */
        take_second(f, bytes + n, 15 - n);
        r = x86_decode(i, bytes, 15, mode);
    }
    i->pos = (uint16_t)at;
    if (r != DECODE_OK) {
        i->len = MAX(i->len, 1);
        i->flags = 0;
        i->fn = r == DECODE_INVALID ? raise_ud : raise_gp0;
        return LAST;
    }
    i->fn = choose(f->c, i, f->b->mode);
    if (f->b->gpa2 != NO_PAGE || (insn_opcode(i)->props & OP_ENDS))
        return LAST;
    return GO_ON;
}

/* In front of an instruction: stops there if a debugger waits for it. */
static void look_for_point(struct cpu *c, const struct insn *i)
{
    if (!x86_debugger_at(c, x86_fetch_address(c, insn_rip(c, i))))
        return;
    c->s.rip = insn_rip(c, i);
    x86_unwind(c, UNWIND_DEBUG);
}

static bool is_marked(const struct fetch *f, unsigned at)
{
    const struct debug_points *p = f->c->vcpu->debug.points;
    unsigned offset = (unsigned)((f->b->gpa + at) & ~PAGE_MASK);

    return unlikely(p != NULL) && (p->marks[offset / 64] >> offset % 64 & 1);
}

static void decode_block(struct fetch *f, unsigned max)
{
    struct block *b = f->b;
    enum progress p = GO_ON;
    unsigned at = 0;

    for (unsigned n = 0; p == GO_ON && n < max && at < f->left; n++) {
        if (is_marked(f, at)) {
            b->insn[b->n++] =
                (struct insn){.pos = (uint16_t)at, .fn = look_for_point};
            b->marked = true;
        }
        p = decode_one(f, at, &b->insn[b->n]);
        if (p != NOT_THIS)
            at += b->insn[b->n++].len;
    }
    b->len = (uint16_t)at;
}

/* --- the cache --- */

static struct block **bucket(struct interp_cpu *e, gpa_t gpa, uint32_t mode)
{
    uint64_t h = (gpa ^ (uint64_t)mode << 20) * 0x9e3779b97f4a7c15ull;

    return &e->hash[h >> 48 & (BLOCK_HASH - 1)];
}

void block_flush(struct interp_cpu *e)
{
    e->used = 0;
    e->flushes++;
    e->running = NULL;
    memset(e->hash, 0, sizeof e->hash);
    memset(e->jump, 0, sizeof e->jump);
}

static bool page_fresh(struct code_page *page, uint32_t generation)
{
    return atomic_load_explicit(&page->generation, memory_order_acquire) ==
           generation;
}

bool block_is_fresh(const struct block *b)
{
    return b->page && page_fresh(b->page, b->generation) &&
           (!b->page2 || page_fresh(b->page2, b->generation2));
}

static struct block *search(struct cpu *c, gva_t linear, gpa_t gpa,
                            uint32_t mode)
{
    struct block **link = bucket(interp_of(c), gpa, mode);
    const uint8_t *ram;

    for (struct block *b; (b = *link) != NULL;) {
        if (b->gpa != gpa || b->mode != mode) {
            link = &b->next;
            continue;
        }
        if (block_is_fresh(b) &&
            (b->gpa2 == NO_PAGE ||
             mem_fetch_page(c, second_page(c, linear), &ram) == b->gpa2))
            return b;
        *link = b->next;
    }
    return NULL;
}

struct block *block_beside(struct cpu *c, const struct block *b, gpa_t gpa)
{
    struct block *next;

    if (b->gpa2 != NO_PAGE || (gpa ^ b->gpa) & PAGE_MASK)
        return NULL;
    next = *bucket(interp_of(c), gpa, b->mode);
    while (next && (next->gpa != gpa || next->mode != b->mode))
        next = next->next;
    return next && next->gpa2 == NO_PAGE && !next->marked &&
                   block_is_fresh(next)
               ? next
               : NULL;
}

static bool may_keep(struct interp_cpu *e, const struct block *b)
{
    struct vcpu *self = e->cpu.vcpu;

    if (!b->page || !code_pages_settled(e->pages, b->page, self))
        return false;
    return b->gpa2 == NO_PAGE ||
           (b->page2 && code_pages_settled(e->pages, b->page2, self));
}

static struct block *make(struct cpu *c, gva_t linear, gpa_t gpa,
                          const uint8_t *ram, uint32_t mode)
{
    struct interp_cpu *e = interp_of(c);
    /* Each with something in front of it. */
    size_t worst = sizeof(struct block) + 2 * BLOCK_INSNS * sizeof(struct insn);
    struct fetch f = {.c = c, .linear = linear, .ram = ram};
    struct block *b, **head;

    if (BLOCK_ARENA - e->used < worst)
        block_flush(e);
    f.b = b = (struct block *)(void *)(e->arena + e->used);
    f.left = PAGE_SIZE - (unsigned)(gpa & ~PAGE_MASK);
    *b = (struct block){.gpa = gpa, .gpa2 = NO_PAGE, .mode = mode};
    b->page = ram ? code_pages_at(e->pages, gpa) : NULL;
    if (b->page)
        b->generation = atomic_load(&b->page->generation);
    decode_block(&f, mode & (MODE_SINGLE | MODE_TF) ? 1 : BLOCK_INSNS);
    c->stats.blocks_decoded++;
    if (!may_keep(e, b)) {
        b->page = NULL; /* for once: the next block takes its place */
        return b;
    }
    head = bucket(e, gpa, mode);
    b->next = *head;
    *head = b;
    e->used += align_up(sizeof *b + b->n * sizeof b->insn[0], 64);
    return b;
}

static struct block *find_slow(struct cpu *c, gva_t linear, uint32_t mode)
{
    const uint8_t *ram;
    struct block *b;
    gpa_t gpa;

    if ((mode & MODE_CODE64) && (gva_t)sign_extend(linear, 48) != linear)
        x86_raise_gp0(c);
    gpa = mem_fetch_page(c, linear, &ram) | (linear & ~PAGE_MASK);
    if (ram)
        ram += linear & ~PAGE_MASK;
    b = search(c, linear, gpa, mode);
    return b ? b : make(c, linear, gpa, ram, mode);
}

static struct jump *jump_at(struct cpu *c, gva_t linear)
{
    return &interp_of(c)->jump[(linear ^ linear >> 12) & (BLOCK_JUMPS - 1)];
}

static bool jump_hits(const struct cpu *c, const struct jump *j, gva_t linear,
                      uint32_t mode)
{
    return j->linear == linear && j->mode == mode && j->block &&
           j->tlb_generation == c->tlb_generation && block_is_fresh(j->block);
}

/* Is all of it inside CS? */
static bool within_limit(const struct cpu *c, uint64_t bytes)
{
    uint64_t limit = c->s.seg[CS].limit, rip = c->s.rip;

    return (c->mode_key & (MODE_CODE64 | MODE_FLAT)) ||
           (rip <= limit && limit - rip >= bytes - 1);
}

static struct block *find(struct cpu *c, gva_t linear, uint32_t mode)
{
    struct jump *j = jump_at(c, linear);

    if (unlikely(!jump_hits(c, j, linear, mode))) {
        struct block *b = find_slow(c, linear, mode);

        /* One that is not kept gives its place to the next. */
        if (!b->page)
            return b;
        *j = (struct jump){linear, c->tlb_generation, b, mode};
    }
    return j->block;
}

/* Where CS has a limit, every instruction's last byte must be inside it. */
static struct block *find_limited(struct cpu *c, uint32_t mode)
{
    gva_t linear = x86_fetch_address(c, c->s.rip);
    struct block *b;

    if (!within_limit(c, 1))
        x86_raise_gp0(c);
    b = find(c, linear, mode);
    if (!within_limit(c, b->len) && b->n > 1)
        b = find(c, linear, mode | MODE_SINGLE);
    if (!within_limit(c, b->len))
        x86_raise_gp0(c);
    return b;
}

struct block *block_find(struct cpu *c, bool single)
{
    uint32_t mode = c->mode_key | (single ? MODE_SINGLE : 0);

    if (likely(mode & (MODE_CODE64 | MODE_FLAT)))
        return find(c, c->s.rip, mode);
    return find_limited(c, mode);
}
