#include "x86/mmu.h"
#include "x86/outside.h"
#include "base/libc.h"

/* Page table entry bits, the same in every format. */
enum { PTE_P = 1 << 0, PTE_W = 1 << 1, PTE_U = 1 << 2, PTE_A = 1 << 5,
       PTE_D = 1 << 6, PTE_PS = 1 << 7, PTE_G = 1 << 8 };
#define PTE_NX   BIT64(63)
#define PTE_ADDR 0x000ffffffffff000ull

/*
 * A paging mode is a list of levels from the top, each an index field of the
 * linear address. 32-bit entries have 4 bytes, all others 8.
 */
struct paging {
    uint8_t levels, entry_bytes, index_bits;
    uint8_t shift[4];
};
static const struct paging paging_32 = {2, 4, 10, {22, 12}};
static const struct paging paging_pae = {2, 8, 9, {21, 12}};
static const struct paging paging_4level = {4, 8, 9, {39, 30, 21, 12}};

static inline gpa_t a20(const struct cpu *c, gpa_t a)
{
    return a & atomic_load_explicit(&c->vcpu->a20_mask, memory_order_relaxed);
}

uint8_t *mmu_ram(struct cpu *c, gpa_t a, bool *readonly)
{
    struct window *w = &c->window;

    if (unlikely(a - w->base >= w->size)) {
        struct window found;

        if (!space_window(c->vcpu->mem, a, &found))
            return NULL;
        *w = found;
    }
    *readonly = w->readonly;
    return w->ram + (a - w->base);
}

static uint64_t entry_read(struct cpu *c, gpa_t a, unsigned bytes, void **host)
{
    bool readonly;
    uint8_t *p = mmu_ram(c, a, &readonly);

    *host = p && !readonly ? p : NULL;
    if (!p)
        return x86_outside_read(c, OUTSIDE_DEVICE, a, bytes);
    if (bytes == 4)
        return __atomic_load_n((uint32_t *)(void *)p, __ATOMIC_RELAXED);
    return __atomic_load_n((uint64_t *)(void *)p, __ATOMIC_RELAXED);
}

/* Sets bits in an entry, unless another CPU has changed it: then walk again. */
static bool entry_mark(void *host, unsigned bytes, uint64_t *entry,
                       uint64_t set)
{
    if ((*entry & set) == set)
        return true;
    if (!host) /* page tables in ROM or in no memory at all */
        return true;
    if (bytes == 4) {
        uint32_t old = (uint32_t)*entry;

        if (!__atomic_compare_exchange_n((uint32_t *)host, &old,
                                         old | (uint32_t)set, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return false;
    } else {
        uint64_t old = *entry;

        if (!__atomic_compare_exchange_n((uint64_t *)host, &old, old | set,
                                         false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED))
            return false;
    }
    *entry |= set;
    return true;
}

static const struct paging *paging_mode(const struct cpu *c)
{
    if (c->s.efer & EFER_LMA)
        return &paging_4level;
    return c->s.cr4 & CR4_PAE ? &paging_pae : &paging_32;
}

/* Bits that must be zero in a present entry (SDM tables 4-4 to 4-20). */
static uint64_t reserved_bits(const struct cpu *c, const struct paging *p,
                              unsigned shift, bool leaf)
{
    unsigned phys = c->model->phys_bits;
    uint64_t r;

    if (p->entry_bytes == 4) {
        if (shift != 22 || !leaf)
            return 0;
        /* PSE-36: bits 20:13 are address bits 39:32, as far as there are. */
        return BIT64(21) | (mask_low(21) & ~mask_low(13 + MIN(phys, 40) - 32));
    }
    r = PTE_ADDR & ~mask_low(phys);
    if (p == &paging_pae)
        r |= mask_low(63) & ~mask_low(52);
    if (!(c->s.efer & EFER_NXE))
        r |= PTE_NX;
    if (leaf && shift > 12)
        r |= mask_low(shift) & ~mask_low(13);
    if (shift == 39 ||
        (shift == 30 && !feature_has(&c->model->features, FEAT_PDPE1GB)))
        r |= PTE_PS;
    return r;
}

static bool is_leaf(const struct cpu *c, const struct paging *p, unsigned shift,
                    uint64_t entry)
{
    if (shift == 12)
        return true;
    if (!(entry & PTE_PS) || shift == 39)
        return false;
    return p != &paging_32 || (c->s.cr4 & CR4_PSE);
}

static gpa_t leaf_address(const struct paging *p, unsigned shift,
                          uint64_t entry, gva_t a)
{
    uint64_t frame = entry & PTE_ADDR;

    if (p == &paging_32) {
        frame = entry & 0xfffff000;
        if (shift == 22)
            frame = (entry & 0xffc00000) | bits(entry, 20, 13) << 32;
    }
    return (frame & ~mask_low(shift)) | (a & mask_low(shift));
}

/* Does the page's combined right allow the access? (SDM 4.6.1) */
static bool allowed(const struct cpu *c, uint64_t rights,
                    enum mem_access access, enum tlb_mode mode)
{
    bool user_page = rights & PTE_U;

    if (access == MEM_EXEC && (rights & PTE_NX))
        return false;
    if (mode == TLB_USER)
        return user_page && (access != MEM_WRITE || (rights & PTE_W));
    if (user_page) {
        if (access == MEM_EXEC && (c->s.cr4 & CR4_SMEP))
            return false;
        if (access != MEM_EXEC && mode == TLB_KERNEL_SMAP)
            return false;
    }
    return access != MEM_WRITE || (rights & PTE_W) || !(c->s.cr0 & CR0_WP);
}

static uint32_t fault_code(const struct cpu *c, enum mem_access access,
                           enum tlb_mode mode)
{
    uint32_t error = mode == TLB_USER ? PF_U : 0;

    if (access == MEM_WRITE)
        error |= PF_W;
    if (access == MEM_EXEC &&
        ((c->s.cr4 & CR4_SMEP) ||
         ((c->s.cr4 & CR4_PAE) && (c->s.efer & EFER_NXE))))
        error |= PF_I;
    return error;
}

enum step { STEP_OK, STEP_FAULT, STEP_AGAIN };

static enum step walk_once(struct cpu *c, gva_t a, enum mem_access access,
                           enum tlb_mode mode, bool probe, struct walk *w)
{
    const struct paging *p = paging_mode(c);
    uint64_t rights = PTE_W | PTE_U, entry;
    gpa_t table = c->s.cr3 & PTE_ADDR;

    if (p == &paging_32)
        table = c->s.cr3 & 0xfffff000;
    else if (p == &paging_pae) {
        entry = c->s.pdpte[bits(a, 31, 30)];
        if (!(entry & PTE_P))
            return STEP_FAULT;
        table = entry & PTE_ADDR;
    }
    for (unsigned level = 0; level < p->levels; level++) {
        unsigned shift = p->shift[level], n = p->entry_bytes;
        uint64_t index = (a >> shift) & mask_low(p->index_bits);
        void *host;
        bool leaf;

        entry = entry_read(c, a20(c, table + index * n), n, &host);
        if (!(entry & PTE_P))
            return STEP_FAULT;
        leaf = is_leaf(c, p, shift, entry);
        if (entry & reserved_bits(c, p, shift, leaf)) {
            w->error |= PF_P | PF_RSVD;
            return STEP_FAULT;
        }
        rights = (rights & entry & (PTE_W | PTE_U)) |
                 ((rights | entry) & PTE_NX);
        if (!leaf) {
            /* The entry has been used, whatever becomes of the access. */
            if (!probe && !entry_mark(host, n, &entry, PTE_A))
                return STEP_AGAIN;
            table = p == &paging_32 ? entry & 0xfffff000 : entry & PTE_ADDR;
            continue;
        }
        if (p == &paging_32)
            rights &= ~PTE_NX;
        if (!allowed(c, rights, access, mode)) {
            w->error |= PF_P;
            return STEP_FAULT;
        }
        if (!probe &&
            !entry_mark(host, n, &entry,
                        access == MEM_WRITE ? PTE_A | PTE_D : PTE_A))
            return STEP_AGAIN;
        w->gpa = a20(c, leaf_address(p, shift, entry, a));
        w->size = BIT64(shift);
        w->global = (entry & PTE_G) && (c->s.cr4 & CR4_PGE);
        w->writable =
            (entry & PTE_D) && allowed(c, rights, MEM_WRITE, mode);
        return STEP_OK;
    }
    return STEP_FAULT;
}

bool mmu_walk(struct cpu *c, gva_t a, enum mem_access access,
              enum tlb_mode mode, bool probe, struct walk *w)
{
    enum step step;

    if (!(c->s.cr0 & CR0_PG)) {
        *w = (struct walk){.gpa = a20(c, (uint32_t)a), .size = PAGE_SIZE,
                           .writable = true};
        return true;
    }
    /* Each repetition means that another CPU made progress. */
    do {
        *w = (struct walk){.error = fault_code(c, access, mode)};
        step = walk_once(c, a, access, mode, probe, w);
    } while (step == STEP_AGAIN);
    return step == STEP_OK;
}
