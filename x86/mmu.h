/*
 * Paging (Intel SDM volume 3, chapter 4): the walk behind the soft TLB.
 * Internal to x86/; bodies use mem.h.
 */
#ifndef X86_MMU_H
#define X86_MMU_H

#include "x86/mem.h"

/* Page-fault error code (SDM 4.7). */
enum { PF_P = 1 << 0, PF_W = 1 << 1, PF_U = 1 << 2, PF_RSVD = 1 << 3,
       PF_I = 1 << 4 };

struct walk {
    gpa_t gpa;         /* of the byte asked for, A20 applied */
    uint64_t size;     /* of the page: 4 KB to 1 GB */
    bool writable;     /* in this mode, and the D bit is set */
    bool global;
    uint32_t error;    /* when the walk failed */
};

/*
 * Translates a for an access in the given TLB mode; sets A and D bits unless
 * probing. False: walk->error is the #PF error code.
 */
bool mmu_walk(struct cpu *c, gva_t a, enum mem_access access,
              enum tlb_mode mode, bool probe, struct walk *w);

/* Host address of RAM or ROM at a, with what is left of its window; or NULL. */
uint8_t *mmu_ram(struct cpu *c, gpa_t a, bool *readonly);

#endif
