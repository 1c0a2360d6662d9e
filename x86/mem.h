/*
 * Guest memory as instructions see it: effective addresses, segmentation,
 * the soft TLB and, behind it, paging. All accesses are little-endian and may
 * fault (not return).
 *
 * Three steps, so that each can be skipped where it costs nothing:
 *   offset = x86_ea(c, i)                     in the address size
 *   linear = x86_linear(c, seg, offset, n, w) segment checks, base
 *   value  = mem_read(c, linear, n)           TLB, paging, MMIO
 */
#ifndef X86_MEM_H
#define X86_MEM_H

#include "base/bits.h"
#include "base/endian.h"
#include "x86/cpu.h"

enum mem_access { MEM_READ, MEM_WRITE, MEM_EXEC };

/* --- effective address --- */
static inline uint64_t x86_ea(const struct cpu *c, const struct insn *i)
{
    uint64_t a;

    if (i->base == REG_NONE && i->index == REG_NONE)
        a = i->imm_len > 4 ? i->imm : (uint64_t)(int64_t)i->disp;
    else {
        a = (uint64_t)(int64_t)i->disp;
        if (i->base < 16)
            a += c->s.gpr[i->base];
        else if (i->base == REG_RIP)
            a += insn_next(c, i);
        if (i->index < 16)
            a += c->s.gpr[i->index] << i->scale;
    }
    return i->asize == 8 ? a : i->asize == 4 ? (uint32_t)a : (uint16_t)a;
}

/* --- segmentation: x86/segment.c --- */
/* Limit, type and canonical checks in full; #GP or #SS on failure. */
gva_t x86_linear_checked(struct cpu *c, unsigned seg, uint64_t offset,
                         unsigned n, bool write);

/*
 * The linear address of n bytes at seg:offset, checked. Flat segments (the
 * mode key says so) only have to be canonical, which paging checks for us:
 * no table maps a non-canonical address, and the slow path tells #GP and #SS
 * apart by c->insn.
 */
static ALWAYS_INLINE gva_t x86_linear(struct cpu *c, unsigned seg,
                                      uint64_t offset, unsigned n, bool write)
{
    /* Code segments cannot be written; 64-bit code has no CS overrides. */
    if (likely((c->mode_key & MODE_FLAT) && seg < FS && !(write && seg == CS)))
        return offset;
    if (c->mode_key & MODE_CODE64)
        return offset + c->s.seg[seg].base;
    return x86_linear_checked(c, seg, offset, n, write);
}

/* --- paging and the TLB: x86/mmu.c --- */
/*
 * Slow paths of the accessors below: TLB refill, page-crossing, MMIO, ROM,
 * pages that hold decoded code, data breakpoints. n is 1 to 8.
 */
uint64_t mem_read_slow(struct cpu *c, gva_t a, unsigned n);
void mem_write_slow(struct cpu *c, gva_t a, uint64_t v, unsigned n);

static ALWAYS_INLINE struct tlb_entry *tlb_at(struct cpu *c, gva_t a)
{
    return &c->tlb[(a >> PAGE_SHIFT) & (TLB_SIZE - 1)];
}

/*
 * The tag of the last byte's page is compared in the slot of the first byte's
 * page, so that crossing a page does not match and goes slow; only a TLB of
 * one entry (a stress build) must look.
 */
static ALWAYS_INLINE bool tlb_crosses(gva_t a, unsigned n)
{
    return TLB_SIZE == 1 && ((a ^ (a + n - 1)) & PAGE_MASK);
}

static ALWAYS_INLINE uint64_t mem_read(struct cpu *c, gva_t a, unsigned n)
{
    struct tlb_entry *e = tlb_at(c, a);

    if (likely(e->read == ((a + n - 1) & PAGE_MASK)) && !tlb_crosses(a, n))
        return load_le((const void *)(uintptr_t)(a + e->addend), n);
    return mem_read_slow(c, a, n);
}

static ALWAYS_INLINE void mem_write(struct cpu *c, gva_t a, uint64_t v,
                                    unsigned n)
{
    struct tlb_entry *e = tlb_at(c, a);

    if (likely(e->write == ((a + n - 1) & PAGE_MASK)) && !tlb_crosses(a, n))
        store_le((void *)(uintptr_t)(a + e->addend), v, n);
    else
        mem_write_slow(c, a, v, n);
}

/*
 * Alignment (#AC): everything that takes an address and n checks it for n of
 * 2, 4 and 8 while the TLB mode is TLB_USER_AC, but for what is called bytes;
 * those who use that check beforehand where a CPU does, with this.
 */
void mem_check_alignment(struct cpu *c, gva_t a, unsigned n);
/*
 * The check that flat segments skip: in 64-bit code addresses are canonical,
 * else #GP or #SS. Returns the address as other code has it wrap.
 */
gva_t mem_check_address(struct cpu *c, gva_t a, unsigned n);

/*
 * Any length (up to 4096), for vectors, FXSAVE and the like. The write faults
 * before the first byte is stored.
 */
void mem_read_bytes(struct cpu *c, gva_t a, void *to, unsigned n);
void mem_write_bytes(struct cpu *c, gva_t a, const void *from, unsigned n);
/* Raises what an access of n bytes would raise; changes only A and D bits. */
void mem_probe(struct cpu *c, gva_t a, unsigned n, bool write);
void mem_probe_bytes(struct cpu *c, gva_t a, unsigned n, bool write);

/*
 * For a translator's missed access: fills the TLB for n bytes at a, with all
 * faults. False: they cannot be reached straight through the TLB (a device,
 * ROM, a page with decoded code, a page crossing, breakpoints).
 */
bool mem_try_fill(struct cpu *c, gva_t a, unsigned n, bool write);

/*
 * For LOCK and read-modify-write: the host address of n bytes of writable RAM
 * in one page, write permission and D bit seen to; NULL when it is MMIO, ROM or
 * crosses a page: then use mem_rmw_begin().
 */
void *mem_writable(struct cpu *c, gva_t a, unsigned n);
/*
 * The rare rest, serialised against every CPU of the VM: begin probes for
 * write and takes the lock; then mem_read/mem_write do not fault; end.
 */
void mem_rmw_begin(struct cpu *c, gva_t a, unsigned n);
void mem_rmw_end(struct cpu *c);

/*
 * The host address of the byte at a, for string work up to the end of its
 * page. Raises what an access there would; NULL when every access must be
 * made one by one (MMIO, ROM or decoded code for writes, breakpoints).
 */
const uint8_t *mem_page_read(struct cpu *c, gva_t a);
uint8_t *mem_page_write(struct cpu *c, gva_t a);

/* Implicit supervisor accesses: descriptor tables, TSS, IDT (SDM 4.6). */
uint64_t mem_read_system(struct cpu *c, gva_t a, unsigned n);
void mem_write_system(struct cpu *c, gva_t a, uint64_t v, unsigned n);

/* Is the page that was fetched last at a global? */
static inline bool mem_fetch_global(const struct cpu *c, gva_t a)
{
    const struct itlb_entry *e =
        &c->itlb[c->s.cpl == 3][(a >> PAGE_SHIFT) & (ITLB_SIZE - 1)];

    return e->tag == (a & PAGE_MASK) && e->global;
}

/*
 * Translates for instruction fetch, with all checks; raises #PF. *ram is the
 * host address of the page (RAM or ROM), or NULL for MMIO.
 */
gpa_t mem_fetch_page(struct cpu *c, gva_t a, const uint8_t **ram);
/* The physical page alone; false where mem_fetch_page() would raise. */
bool mem_try_fetch_page(struct cpu *c, gva_t a, gpa_t *page);

/*
 * A walk without faults or A/D updates, for the debugger and disassembler.
 */
bool mem_translate_debug(struct cpu *c, gva_t a, gpa_t *out);

/* Re-reads APIC_BASE from the interrupt controller, after a write or reset. */
void x86_apic_base_changed(struct cpu *c);

/* A mapping changed: what is cached of translations has to go. */
static inline bool x86_flush_waits(const struct cpu *c)
{
    return atomic_load_explicit(&c->vcpu->events, memory_order_relaxed) &
           VCPU_FLUSH;
}

/* TLB maintenance; each counts up tlb_generation. */
void tlb_flush_all(struct cpu *c);       /* global pages too */
void tlb_flush_nonglobal(struct cpu *c); /* CR3 load */
void tlb_flush_page(struct cpu *c, gva_t a);
/* Drops the write tags of one physical page. */
void tlb_forget_writes(struct cpu *c, gpa_t page);
/* e, of c's tables, has a write tag for this page. */
void tlb_note_write(struct cpu *c, const struct tlb_entry *e, gpa_t page);
/* An entry is made of a's page, which has so many bytes. */
void tlb_note_large(struct cpu *c, gva_t a, uint64_t size, bool global);
/* Its page is to be looked up again (struct stack_page). */
void tlb_forget_stack(struct cpu *c);
/* e is of c's tables: empty from now on; or without a write tag. */
void tlb_drop_entry(struct cpu *c, struct tlb_entry *e);
void tlb_drop_write(struct cpu *c, struct tlb_entry *e);

#endif
