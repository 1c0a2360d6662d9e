/* Behind the accessors of mem.h: translation, MMIO, code pages, the APIC. */
#include "x86/mmu.h"
#include "x86/opcode.h"
#include "x86/outside.h"
#include "base/libc.h"

enum { APIC_BASE_ENABLE = 1 << 11, APIC_BASE_X2APIC = 1 << 10 };

/* A translated piece of memory inside one page. */
struct place {
    uint8_t *ram; /* NULL: a device */
    gpa_t gpa;
    bool readonly; /* ROM */
    bool asked;    /* holds decoded code: tell the engine after a write */
};

void x86_apic_base_changed(struct cpu *c)
{
    struct vcpu *v = c->vcpu;
    uint64_t base = 0;

    if (v->intc) {
        x86_outside_lock(c);
        if (!v->intc->read_msr(v->intc_ctx, 0x1b, &base))
            base = 0;
        x86_outside_unlock(c);
    }
    if (base != c->apic_base)
        tlb_flush_all(c);
    c->apic_base = base;
}

static bool is_apic_page(const struct cpu *c, gpa_t a)
{
    return (c->apic_base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) ==
               APIC_BASE_ENABLE &&
           !((a ^ c->apic_base) & PAGE_MASK & mask_low(52));
}

/* --- faults of addresses that paging never sees --- */

/*
 * #SS for accesses through SS and implicit stack accesses, else #GP. An
 * instruction with both a stack access and a memory operand is told by where
 * the operand lies.
 */
static bool is_stack_access(struct cpu *c, gva_t a)
{
    const struct insn *i = c->insn;

    if (!i)
        return false;
    if ((i->flags & INSN_MEM) &&
        (!(insn_opcode(i)->props & OP_STACK) || i->seg == SS))
        return i->seg == SS;
    if (!(insn_opcode(i)->props & OP_STACK))
        return false;
    if (!(i->flags & INSN_MEM))
        return true;
    return a - (x86_ea(c, i) + c->s.seg[i->seg].base) >= 16;
}

static NORETURN void raise_address(struct cpu *c, gva_t a)
{
    x86_raise_error(c, is_stack_access(c, a) ? EXC_SS : EXC_GP, 0);
}

static bool is_canonical(gva_t a)
{
    return (gva_t)sign_extend(a, 48) == a;
}

/*
 * Elsewhere nothing exceeds a limit of 4 GB: addresses wrap, as measured (SDM
 * 5.3 leaves it open).
 */
gva_t mem_check_address(struct cpu *c, gva_t a, unsigned n)
{
    if (in_code64(c)) {
        if (!is_canonical(a) || !is_canonical(a + n - 1))
            raise_address(c, a);
        return a;
    }
    return (uint32_t)a;
}

/*
 * Data of up to eight bytes is aligned by its size (SDM 6.15, interrupt 17);
 * larger operands are not checked. As measured, #AC comes before #PF, after
 * what segments and canonical addresses raise.
 */
void mem_check_alignment(struct cpu *c, gva_t a, unsigned n)
{
    if (likely(c->tlb_mode != TLB_USER_AC) || n > 8 || !(a & (n - 1)))
        return;
    mem_check_address(c, a, 1); /* of the first byte only */
    x86_raise_error(c, EXC_AC, 0);
}

static gva_t next_page(const struct cpu *c, gva_t a)
{
    gva_t next = (a & PAGE_MASK) + PAGE_SIZE;

    return in_long_mode(c) ? next : (uint32_t)next;
}

/* --- filling --- */

static void note_nonglobal(struct cpu *c, enum tlb_mode mode, unsigned slot)
{
    uint16_t *n = &c->nonglobals[mode];

    if (*n < TLB_LISTED)
        c->nonglobal[mode][*n] = (uint16_t)slot;
    ++*n;
}

/* Must every access to the page be looked at? */
static bool is_looked_at(const struct cpu *c, gva_t a)
{
    return c->has_breakpoints ||
           (unlikely(c->has_watches) && x86_debugger_watches(c, a & PAGE_MASK));
}

static void tlb_fill(struct cpu *c, gva_t a, enum tlb_mode mode,
                     const struct walk *w, const struct place *p)
{
    struct tlb_entry *e = &c->tlbs[mode][(a >> PAGE_SHIFT) & (TLB_SIZE - 1)];
    gva_t page = a & PAGE_MASK;

    if (c->tlb_filled)
        c->tlb_filled(c, e, p->ram - (p->gpa & ~PAGE_MASK), p->gpa & PAGE_MASK,
                      w->writable && !p->readonly);
    if (is_looked_at(c, a) || mode == TLB_USER_AC)
        return;
    e->read = page;
    e->write = w->writable && !p->readonly && !p->asked
                   ? page
                   : tlb_none((size_t)(e - c->tlbs[mode]));
    e->addend = (uintptr_t)(p->ram - (p->gpa & ~PAGE_MASK)) - page;
    e->gpa = (p->gpa & PAGE_MASK) | (w->global ? TLB_GLOBAL : 0) |
             (w->writable && !p->readonly ? TLB_WRITABLE : 0);
    if (!w->global && c->nonglobals[mode] <= TLB_LISTED)
        note_nonglobal(c, mode, (unsigned)(e - c->tlbs[mode]));
    if (e->write == page)
        tlb_note_write(c, e, p->gpa & PAGE_MASK);
    if (w->size > PAGE_SIZE) {
        e->gpa |= TLB_LARGE;
        tlb_note_large(c, a, w->size, w->global);
    }
}

/*
 * Without a walk: a page that was written before, but has decoded code. False:
 * not such a page.
 */
static bool resolve_again(struct cpu *c, gva_t a, enum tlb_mode mode,
                          struct place *p)
{
    struct tlb_entry *e = &c->tlbs[mode][(a >> PAGE_SHIFT) & (TLB_SIZE - 1)];
    gva_t page = a & PAGE_MASK;

    if (e->read != page || !(e->gpa & TLB_WRITABLE) || !c->page_writable ||
        c->tlb_filled)
        return false;
    p->gpa = (e->gpa & PAGE_MASK) | (a & ~PAGE_MASK);
    p->ram = (uint8_t *)(uintptr_t)(a + e->addend);
    p->asked = !c->page_writable(c, e->gpa & PAGE_MASK);
    if (!p->asked) {
        e->write = page;
        tlb_note_write(c, e, e->gpa & PAGE_MASK);
    }
    return true;
}

/* A page of an access that crosses into another may well be in the TLB. */
static bool in_tlb(const struct cpu *c, gva_t a, enum tlb_mode mode, bool write,
                   struct place *p)
{
    const struct tlb_entry *e =
        &c->tlbs[mode][(a >> PAGE_SHIFT) & (TLB_SIZE - 1)];

    if ((write ? e->write : e->read) != (a & PAGE_MASK))
        return false;
    p->gpa = (e->gpa & PAGE_MASK) | (a & ~PAGE_MASK);
    p->ram = (uint8_t *)(uintptr_t)(a + e->addend);
    return true;
}

/* Translates inside one page; raises #PF. */
static struct place resolve(struct cpu *c, gva_t a, enum tlb_mode mode,
                            bool write)
{
    enum tlb_mode rights = mode == TLB_USER_AC ? TLB_USER : mode;
    struct place p = {0};
    struct walk w;

    if (in_tlb(c, a, mode, write, &p) ||
        (write && resolve_again(c, a, mode, &p)))
        return p;
    c->stats.tlb_misses++;
    if (!mmu_walk(c, a, write ? MEM_WRITE : MEM_READ, rights, false, &w))
        x86_raise_pf(c, a, w.error);
    p.gpa = w.gpa;
    if (is_apic_page(c, w.gpa))
        return p;
    p.ram = mmu_ram(c, w.gpa, &p.readonly);
    if (!p.ram)
        return p;
    if (w.writable && !p.readonly && c->page_writable)
        p.asked = !c->page_writable(c, w.gpa & PAGE_MASK);
    tlb_fill(c, a, mode, &w, &p);
    return p;
}

/* --- devices --- */

/*
 * The APIC takes aligned 32-bit accesses; narrower and wider ones are
 * undefined in the manuals and act on the register's low part here.
 */
static uint64_t apic_read(struct cpu *c, uint32_t off, unsigned n)
{
    uint32_t reg = (uint32_t)x86_outside_read(c, OUTSIDE_APIC, off & ~15u, 4);

    if ((off & 15) >= 4)
        return 0;
    return (reg >> 8 * (off & 3)) & mask_low(8 * n);
}

static void apic_write(struct cpu *c, uint32_t off, uint64_t value, unsigned n)
{
    if (!(off & 15) && n >= 4)
        x86_outside_write(c, OUTSIDE_APIC, off, (uint32_t)value, 4);
}

static uint64_t device_read(struct cpu *c, gpa_t a, unsigned n)
{
    c->stats.mmio++;
    if (is_apic_page(c, a))
        return apic_read(c, a & 0xfff, n);
    return x86_outside_read(c, OUTSIDE_DEVICE, a, n);
}

/* A device that changes what is mapped (flash leaves its array) changes it for
   the very next access. */
static void device_write(struct cpu *c, gpa_t a, uint64_t v, unsigned n)
{
    c->stats.mmio++;
    if (is_apic_page(c, a))
        apic_write(c, a & 0xfff, v, n);
    else
        x86_outside_write(c, OUTSIDE_DEVICE, a, v, n);
    if (unlikely(x86_flush_waits(c)))
        tlb_flush_all(c);
}

/* Buses carry powers of two: odd sizes (parts of crossing accesses) go by
   the byte. */
static uint64_t place_read(struct cpu *c, const struct place *p, unsigned n)
{
    uint64_t v = 0;

    if (p->ram && is_power_of_two(n))
        return load_le(p->ram, n);
    if (!p->ram && is_power_of_two(n))
        return device_read(c, p->gpa, n);
    for (unsigned k = 0; k < n; k++)
        v |= (p->ram ? p->ram[k] : device_read(c, p->gpa + k, 1)) << 8 * k;
    return v;
}

/* What is written to a ROM goes where a device's would: flash takes commands,
   and to most it goes nowhere. */
static void place_write(struct cpu *c, const struct place *p, uint64_t v,
                        unsigned n)
{
    uint8_t *ram = p->readonly ? NULL : p->ram;

    if (is_power_of_two(n)) {
        if (ram)
            store_le(ram, v, n);
        else
            device_write(c, p->gpa, v, n);
    } else {
        for (unsigned k = 0; k < n; k++) {
            if (ram)
                ram[k] = (uint8_t)(v >> 8 * k);
            else
                device_write(c, p->gpa + k, (uint8_t)(v >> 8 * k), 1);
        }
    }
    if (p->asked)
        c->code_written(c, p->gpa, n);
}

/* --- accesses --- */

static unsigned left_in_page(gva_t a)
{
    return PAGE_SIZE - (a & ~PAGE_MASK);
}

static uint64_t read_in_mode(struct cpu *c, gva_t a, unsigned n,
                             enum tlb_mode mode)
{
    struct place first, second;
    unsigned head = left_in_page(a);

    first = resolve(c, a, mode, false);
    if (head >= n)
        return place_read(c, &first, n);
    second = resolve(c, next_page(c, a), mode, false);
    return place_read(c, &first, head) | place_read(c, &second, n - head)
                                             << 8 * head;
}

static void write_in_mode(struct cpu *c, gva_t a, uint64_t v, unsigned n,
                          enum tlb_mode mode)
{
    struct place first, second;
    unsigned head = left_in_page(a);

    first = resolve(c, a, mode, true);
    if (head >= n) {
        place_write(c, &first, v, n);
        return;
    }
    second = resolve(c, next_page(c, a), mode, true);
    place_write(c, &first, v, head);
    place_write(c, &second, v >> 8 * head, n - head);
}

static uint64_t read_piece(struct cpu *c, gva_t a, unsigned n)
{
    a = mem_check_address(c, a, n);
    if (c->has_breakpoints | c->has_watches)
        x86_data_breakpoint(c, a, n, false);
    return read_in_mode(c, a, n, c->tlb_mode);
}

static void write_piece(struct cpu *c, gva_t a, uint64_t v, unsigned n)
{
    a = mem_check_address(c, a, n);
    if (c->has_breakpoints | c->has_watches)
        x86_data_breakpoint(c, a, n, true);
    write_in_mode(c, a, v, n, c->tlb_mode);
}

COLD uint64_t mem_read_slow(struct cpu *c, gva_t a, unsigned n)
{
    mem_check_alignment(c, a, n);
    return read_piece(c, a, n);
}

COLD void mem_write_slow(struct cpu *c, gva_t a, uint64_t v, unsigned n)
{
    mem_check_alignment(c, a, n);
    write_piece(c, a, v, n);
}

static enum tlb_mode system_mode(const struct cpu *c)
{
    return c->s.cr4 & CR4_SMAP ? TLB_KERNEL_SMAP : TLB_KERNEL;
}

uint64_t mem_read_system(struct cpu *c, gva_t a, unsigned n)
{
    const struct tlb_entry *e;
    enum tlb_mode mode;

    if (!in_long_mode(c))
        a = (uint32_t)a;
    else if (!is_canonical(a) || !is_canonical(a + n - 1))
        x86_raise_gp0(c);
    mode = system_mode(c);
    e = &c->tlbs[mode][(a >> PAGE_SHIFT) & (TLB_SIZE - 1)];
    if (likely(e->read == ((a + n - 1) & PAGE_MASK)) && !tlb_crosses(a, n))
        return load_le((const void *)(uintptr_t)(a + e->addend), n);
    return read_in_mode(c, a, n, mode);
}

void mem_write_system(struct cpu *c, gva_t a, uint64_t v, unsigned n)
{
    if (!in_long_mode(c))
        a = (uint32_t)a;
    else if (!is_canonical(a) || !is_canonical(a + n - 1))
        x86_raise_gp0(c);
    write_in_mode(c, a, v, n, system_mode(c));
}

void mem_probe(struct cpu *c, gva_t a, unsigned n, bool write)
{
    mem_check_alignment(c, a, n);
    mem_probe_bytes(c, a, n, write);
}

void mem_probe_bytes(struct cpu *c, gva_t a, unsigned n, bool write)
{
    struct tlb_entry *e = tlb_at(c, a);
    gva_t last = (a + n - 1) & PAGE_MASK;

    if (!tlb_crosses(a, n) && (write ? e->write : e->read) == last)
        return;
    a = mem_check_address(c, a, n);
    resolve(c, a, c->tlb_mode, write);
    if (left_in_page(a) < n)
        resolve(c, next_page(c, a), c->tlb_mode, write);
}

bool mem_try_fill(struct cpu *c, gva_t a, unsigned n, bool write)
{
    struct tlb_entry *e = tlb_at(c, a);
    gva_t last = (a + n - 1) & PAGE_MASK;

    if (left_in_page(a) < n || is_looked_at(c, a) || c->tlb_mode == TLB_USER_AC)
        return false;
    a = mem_check_address(c, a, n);
    resolve(c, a, c->tlb_mode, write);
    return (write ? e->write : e->read) == last;
}

void mem_read_bytes(struct cpu *c, gva_t a, void *to, unsigned n)
{
    uint8_t *out = to;

    if (n > 8 || left_in_page(a) < n)
        mem_probe_bytes(c, a, n, false);
    while (n) {
        unsigned piece = MIN(n, left_in_page(a));
        const uint8_t *ram = mem_page_read(c, a);

        if (ram)
            memcpy(out, ram, piece);
        else {
            piece = n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
            store_le(out, read_piece(c, a, piece), piece);
        }
        out += piece;
        a += piece;
        n -= piece;
    }
}

void mem_write_bytes(struct cpu *c, gva_t a, const void *from, unsigned n)
{
    const uint8_t *in = from;

    if (n > 8 || left_in_page(a) < n)
        mem_probe_bytes(c, a, n, true);
    while (n) {
        unsigned piece = MIN(n, left_in_page(a));
        uint8_t *ram = mem_page_write(c, a);

        if (ram)
            memcpy(ram, in, piece);
        else {
            piece = n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
            write_piece(c, a, load_le(in, piece), piece);
        }
        in += piece;
        a += piece;
        n -= piece;
    }
}

const uint8_t *mem_page_read(struct cpu *c, gva_t a)
{
    struct tlb_entry *e = tlb_at(c, a);

    if (e->read != (a & PAGE_MASK)) {
        if (is_looked_at(c, a) || c->tlb_mode == TLB_USER_AC)
            return NULL;
        resolve(c, mem_check_address(c, a, 1), c->tlb_mode, false);
        if (e->read != (a & PAGE_MASK))
            return NULL;
    }
    return (const uint8_t *)(uintptr_t)(a + e->addend);
}

uint8_t *mem_page_write(struct cpu *c, gva_t a)
{
    struct tlb_entry *e = tlb_at(c, a);

    if (e->write != (a & PAGE_MASK)) {
        if (is_looked_at(c, a) || c->tlb_mode == TLB_USER_AC)
            return NULL;
        resolve(c, mem_check_address(c, a, 1), c->tlb_mode, true);
        if (e->write != (a & PAGE_MASK))
            return NULL;
    }
    return (uint8_t *)(uintptr_t)(a + e->addend);
}

void *mem_writable(struct cpu *c, gva_t a, unsigned n)
{
    uint8_t *p;
    struct place place;

    mem_check_alignment(c, a, n);
    if (left_in_page(a) < n)
        return NULL;
    p = mem_page_write(c, a);
    if (p)
        return p;
    place = resolve(c, mem_check_address(c, a, n), c->tlb_mode, true);
    if (!place.ram || place.readonly || is_looked_at(c, a))
        return NULL;
    /* The write itself will not be seen: no code is left on the page. */
    if (place.asked)
        c->code_written(c, place.gpa & PAGE_MASK, PAGE_SIZE);
    return place.ram;
}

void mem_rmw_begin(struct cpu *c, gva_t a, unsigned n)
{
    mem_probe(c, a, n, true);
    if (c->rmw_lock)
        host_mutex_lock(c->rmw_lock);
    c->rmw_held = true;
}

void mem_rmw_end(struct cpu *c)
{
    c->rmw_held = false;
    if (c->rmw_lock)
        host_mutex_unlock(c->rmw_lock);
}

static void itlb_note_nonglobal(struct cpu *c, bool user, unsigned slot)
{
    if (c->itlb_nonglobals < ITLB_LISTED)
        c->itlb_nonglobal[c->itlb_nonglobals] =
            (uint16_t)(user * ITLB_SIZE + slot);
    c->itlb_nonglobals++;
}

static void itlb_fill(struct cpu *c, struct itlb_entry *e, gva_t a,
                      const struct walk *w)
{
    bool user = c->s.cpl == 3, readonly;

    e->tag = a & PAGE_MASK;
    e->gpa = w->gpa & PAGE_MASK;
    e->global = w->global;
    if (!w->global && c->itlb_nonglobals <= ITLB_LISTED)
        itlb_note_nonglobal(c, user, (unsigned)(e - c->itlb[user]));
    if (w->size > PAGE_SIZE)
        tlb_note_large(c, a, w->size, w->global);
    e->ram = is_apic_page(c, w->gpa) ? NULL : mmu_ram(c, e->gpa, &readonly);
}

/* NULL: a page fault, whose error code is w's. */
static struct itlb_entry *itlb_find(struct cpu *c, gva_t a, struct walk *w)
{
    bool user = c->s.cpl == 3;
    struct itlb_entry *e = &c->itlb[user][(a >> PAGE_SHIFT) & (ITLB_SIZE - 1)];

    if (likely(e->tag == (a & PAGE_MASK)))
        return e;
    if (!mmu_walk(c, a, MEM_EXEC, user ? TLB_USER : TLB_KERNEL, false, w))
        return NULL;
    itlb_fill(c, e, a, w);
    return e;
}

gpa_t mem_fetch_page(struct cpu *c, gva_t a, const uint8_t **ram)
{
    struct walk w;
    struct itlb_entry *e = itlb_find(c, a, &w);

    if (unlikely(!e))
        x86_raise_pf(c, a, w.error);
    *ram = e->ram;
    return e->gpa;
}

bool mem_try_fetch_page(struct cpu *c, gva_t a, gpa_t *page)
{
    struct walk w;
    struct itlb_entry *e = itlb_find(c, a, &w);

    if (e)
        *page = e->gpa;
    return e;
}

bool mem_translate_debug(struct cpu *c, gva_t a, gpa_t *out)
{
    struct walk w;

    if (!mmu_walk(c, a, MEM_READ, TLB_KERNEL, true, &w))
        return false;
    *out = w.gpa;
    return true;
}
