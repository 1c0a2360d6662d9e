/* Debug registers and breakpoints. SDM volume 3, chapter 18.2; MOV DR in
   volume 2. */
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

enum {
    TYPE_EXECUTE,
    TYPE_WRITE,
    TYPE_IO,
    TYPE_ACCESS,
    DR6_WRITABLE = 0xf | DR6_BD | DR6_BS | DR6_BT,
    DR7_FIXED = 1 << 10,
    /* L, G, LE, GE, GD; RTM (bit 11), 12, 14 and 15 read as 0 */
    DR7_WRITABLE_LOW = 0x3ff | DR7_GD,
};
#define DR6_FIXED    0xffff0ff0ull
#define DR7_WRITABLE (DR7_WRITABLE_LOW | 0xffff0000ull)

/* --- matching --- */

static unsigned bp_type(const struct cpu *c, unsigned n)
{
    return c->s.dr[7] >> (16 + 4 * n) & 3;
}

/* LEN: 1, 2, 8 and 4 bytes. */
static unsigned bp_length(const struct cpu *c, unsigned n)
{
    static const uint8_t length[] = {1, 2, 8, 4};

    return length[c->s.dr[7] >> (18 + 4 * n) & 3];
}

static bool bp_enabled(const struct cpu *c, unsigned n)
{
    return c->s.dr[7] >> 2 * n & 3;
}

static bool bp_overlaps(const struct cpu *c, unsigned n, uint64_t a,
                        unsigned bytes)
{
    uint64_t length = bp_length(c, n), at = c->s.dr[n] & ~(length - 1);

    return a + bytes > at && a < at + length;
}

static bool bp_of_access(unsigned type, bool write)
{
    return type == TYPE_ACCESS || (type == TYPE_WRITE && write);
}

uint64_t x86_code_breakpoints_at(const struct cpu *c, gva_t linear)
{
    uint64_t hits = 0;

    if (!c->has_code_breakpoints)
        return 0;
    for (unsigned n = 0; n < 4; n++)
        if (bp_enabled(c, n) && bp_type(c, n) == TYPE_EXECUTE &&
            c->s.dr[n] == linear)
            hits |= BIT(n);
    return hits;
}

void x86_code_breakpoint(struct cpu *c, gva_t linear)
{
    uint64_t hits;

    if ((c->s.rflags & FLAG_RF) || c->s.movss_shadow)
        return;
    hits = x86_code_breakpoints_at(c, in_code64(c) ? linear : (uint32_t)linear);
    if (hits)
        x86_raise_db(c, hits);
}

/* The debugger's, which are compared as addresses of the mode. */
static gva_t in_mode(const struct cpu *c, gva_t a)
{
    return in_code64(c) ? a : (uint32_t)a;
}

static void meet(struct vcpu_debug *d, const struct debug_point *p)
{
    d->stop = (struct debug_stop){.why = DEBUG_POINT,
                                  .kind = p->kind,
                                  .hardware = p->hardware,
                                  .address = p->address};
}

bool x86_debugger_at(struct cpu *c, gva_t linear)
{
    struct vcpu_debug *d = &c->vcpu->debug;

    if (!d->points || d->step)
        return false;
    for (unsigned n = 0; n < d->points->n; n++) {
        const struct debug_point *p = &d->points->point[n];

        if (p->kind != DEBUG_CODE || in_mode(c, p->address) != linear)
            continue;
        meet(d, p);
        return true;
    }
    return false;
}

static bool overlaps(const struct cpu *c, const struct debug_point *p,
                     gva_t linear, unsigned n)
{
    gva_t at = in_mode(c, p->address);

    return p->kind != DEBUG_CODE && linear + n > at && linear < at + p->length;
}

bool x86_debugger_watches(const struct cpu *c, gva_t page)
{
    const struct debug_points *s = c->vcpu->debug.points;

    for (unsigned n = 0; n < s->n; n++)
        if (overlaps(c, &s->point[n], page, PAGE_SIZE))
            return true;
    return false;
}

static void debugger_data(struct cpu *c, gva_t linear, unsigned n, bool write)
{
    struct vcpu_debug *d = &c->vcpu->debug;

    for (unsigned k = 0; k < d->points->n; k++) {
        const struct debug_point *p = &d->points->point[k];

        if (!overlaps(c, p, linear, n) ||
            p->kind == (write ? DEBUG_READ : DEBUG_WRITE))
            continue;
        meet(d, p);
        if (c->watch_met)
            c->watch_met(c);
    }
}

void x86_data_breakpoint(struct cpu *c, gva_t linear, unsigned n, bool write)
{
    if (unlikely(c->has_watches))
        debugger_data(c, linear, n, write);
    for (unsigned k = 0; k < 4; k++)
        if (bp_enabled(c, k) && bp_of_access(bp_type(c, k), write) &&
            bp_overlaps(c, k, linear, n))
            c->s.pending_db |= BIT(k);
}

void x86_io_breakpoint(struct cpu *c, uint16_t port, unsigned n)
{
    if (!(c->s.cr4 & CR4_DE))
        return;
    for (unsigned k = 0; k < 4; k++)
        if (bp_enabled(c, k) && bp_type(c, k) == TYPE_IO &&
            bp_overlaps(c, k, port, n))
            c->s.pending_db |= BIT(k);
}

/* --- MOV DR --- */

/* DR4 and DR5 are DR6 and DR7, until CR4.DE takes the names away. */
static unsigned check_access(struct cpu *c, unsigned n)
{
    if (n > 7)
        x86_raise(c, EXC_UD);
    if (n == 4 || n == 5) {
        if (c->s.cr4 & CR4_DE)
            x86_raise(c, EXC_UD);
        n += 2;
    }
    if (c->s.dr[7] & DR7_GD)
        x86_raise_db(c, DR6_BD);
    return n;
}

void op_mov_from_dr(struct cpu *c, const struct insn *i)
{
    unsigned n = check_access(c, i->opnd[1].reg);

    gpr_write(c, i->opnd[0].reg, i->opnd[0].size, c->s.dr[n]);
}

void op_mov_to_dr(struct cpu *c, const struct insn *i)
{
    unsigned n = check_access(c, i->opnd[0].reg);
    uint64_t v = gpr_read(c, i->opnd[1].reg, i->opnd[1].size);

    if (n >= 6 && v >> 32)
        x86_raise_gp0(c);
    if (n == 6)
        v = (v & DR6_WRITABLE) | DR6_FIXED;
    else if (n == 7)
        v = (v & DR7_WRITABLE) | DR7_FIXED;
    c->s.dr[n] = v;
    x86_mode_changed(c);
}
