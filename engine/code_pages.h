/*
 * Which RAM holds decoded code: shared by all vCPUs of a VM, so that whoever
 * writes to it (a vCPU or a device) makes every engine's blocks stale.
 *
 * Each page has a bitmap of the 64-byte granules that blocks were made of, and
 * a generation that blocks remember and compare when they are entered. A
 * vCPU may keep a write tag in its TLB only for pages without code; for others
 * every write comes to code_pages_written().
 *
 * When the first code appears on a page, other vCPUs may still hold write
 * tags for it. They are asked to drop them (VCPU_PRIV) and acknowledge
 * between blocks; until all running ones have, the page is not settled and
 * blocks made from it must not be kept.
 */
#ifndef ENGINE_CODE_PAGES_H
#define ENGINE_CODE_PAGES_H

#include "lodge/engine.h"

struct code_page {
    _Atomic uint64_t granules;   /* bit n: bytes 64n to 64n+63 were decoded */
    _Atomic uint32_t generation; /* counts invalidations */
    _Atomic uint32_t sequence;   /* of the request to drop write tags */
};

struct code_pages;

struct code_pages *code_pages_new(struct vm *vm);
void code_pages_free(struct code_pages *p);
/* Covers a window; 0 or -LE_NOMEM. No vCPU running. */
int code_pages_cover(struct code_pages *p, gpa_t base, uint64_t size);

/* The page of a, or NULL where no window was covered. Any thread. */
struct code_page *code_pages_at(struct code_pages *p, gpa_t a);
/*
 * Before bytes [a, a+n) of one page are read to be decoded. True: this is the
 * first code on the page, and self must drop its own write tags for it.
 */
bool code_pages_claim(struct code_pages *p, struct code_page *page,
                      struct vcpu *self, gpa_t a, unsigned n);
/* Has every other vCPU dropped its write tags? */
bool code_pages_settled(struct code_pages *p, const struct code_page *page,
                        struct vcpu *self);
/* Were bytes of [a, a+n), inside one page, decoded? */
bool code_pages_hold(struct code_pages *p, gpa_t a, unsigned n);
/* After [a, a+n) changed. True if code was there. Any thread. */
bool code_pages_written(struct code_pages *p, gpa_t a, size_t n);

/*
 * A vCPU enters run(), leaves it, or answers VCPU_PRIV; it has no write tags
 * (enter, answer) when it calls.
 */
void code_pages_enter(struct code_pages *p, struct vcpu *self);
void code_pages_leave(struct code_pages *p, struct vcpu *self);

/*
 * A window came or went while vCPUs may run: they drop what they cached of
 * addresses (VCPU_FLUSH).
 */
void code_pages_flush_vcpus(struct code_pages *p);

#endif
