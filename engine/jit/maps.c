/*
 * Which code pages are known to be mapped as when they were translated. A
 * mapping that code was translated under has a number, and each vCPU a byte
 * for it, which the code looks at when it is come to from another page.
 */
#include "engine/jit/jit.h"
#include "base/libc.h"

/* In jit_cpu.maps[]; 0: nothing is known. */
enum { MAP_LOCAL = 1, MAP_GLOBAL };

/* --- numbers --- */

static uint32_t *head_of(struct jit *j, gva_t page)
{
    return &j->map_heads[page * 0x9e3779b97f4a7c15ull >> 40 &
                         (JIT_MAP_HEADS - 1)];
}

static uint32_t first_at(struct jit *j, gva_t page)
{
    return __atomic_load_n(head_of(j, page), __ATOMIC_ACQUIRE);
}

uint32_t jit_map_id(struct jit *j, gva_t page, gpa_t gpa, bool user)
{
    uint32_t *head = head_of(j, page), id;

    for (id = *head; id; id = j->map_ids[id].next) {
        const struct map_id *m = &j->map_ids[id];

        if (m->page == page && m->gpa == gpa && m->user == user)
            return id;
    }
    if (j->nmaps == JIT_MAP_IDS - 1)
        return 0;
    id = ++j->nmaps;
    j->map_ids[id] = (struct map_id){page, gpa, *head, user};
    __atomic_store_n(head, id, __ATOMIC_RELEASE);
    return id;
}

/* --- what a vCPU knows --- */

/*
 * Of all mappings of the page but those to gpa. Another vCPU may add some
 * meanwhile, or empty the lists: each number is below the one before, so this
 * ends, and what was added is not known here yet.
 */
static void forget_page(struct jit_cpu *c, gva_t page, gpa_t gpa)
{
    const struct map_id *m;

    for (uint32_t id = first_at(c->jit, page); id; id = m->next) {
        m = &c->jit->map_ids[id];
        if (m->page == page && m->gpa != gpa)
            c->maps[id] = 0;
    }
}

static void forget_local(struct jit_cpu *c)
{
    if (c->nlocal > JIT_LOCAL) {
        for (unsigned id = 0; id < JIT_MAP_IDS; id++)
            if (c->maps[id] == MAP_LOCAL)
                c->maps[id] = 0;
    } else {
        for (unsigned n = 0; n < c->nlocal; n++)
            c->maps[c->local[n]] = 0;
    }
    c->nlocal = 0;
}

static void forget_flushed(struct jit_cpu *c, gva_t a)
{
    enum { PIECES = 512 };
    gva_t page = a & TLB_LARGE ? a & -(gva_t)(PIECES * PAGE_SIZE) : a;

    for (unsigned n = 0; n < (a & TLB_LARGE ? PIECES : 1); n++)
        forget_page(c, page + n * PAGE_SIZE, NO_PAGE);
}

void jit_follow_flushes(struct jit_cpu *j)
{
    const struct cpu *c = &j->ic.cpu;

    jit_fp_evict(j);
    if (j->maps_all != c->flushes_all ||
        c->flushes_page - j->maps_page > TLB_FLUSHED) {
        memset(j->maps, 0, sizeof j->maps);
        j->nlocal = 0;
    } else {
        if (j->maps_nonglobal != c->flushes_nonglobal)
            forget_local(j);
        while (j->maps_page != c->flushes_page)
            forget_flushed(j, c->flushed[j->maps_page++ % TLB_FLUSHED]);
    }
    j->maps_all = c->flushes_all;
    j->maps_nonglobal = c->flushes_nonglobal;
    j->maps_page = c->flushes_page;
    j->maps_generation = c->tlb_generation;
}

void jit_map_page(struct jit_cpu *j, uint32_t id)
{
    const struct map_id *m = &j->jit->map_ids[id];

    if (j->maps[id] || !id)
        return;
    forget_page(j, m->page, m->gpa);
    if (mem_fetch_global(&j->ic.cpu, m->page)) {
        j->maps[id] = MAP_GLOBAL;
        return;
    }
    j->maps[id] = MAP_LOCAL;
    if (j->nlocal < JIT_LOCAL)
        j->local[j->nlocal] = (uint16_t)id;
    if (j->nlocal <= JIT_LOCAL)
        j->nlocal++;
}

bool jit_is_mapped(struct jit_cpu *j, uint32_t id)
{
    const struct map_id *m = &j->jit->map_ids[id];
    gpa_t gpa;

    if (j->maps[id])
        return true;
    if (!mem_try_fetch_page(&j->ic.cpu, m->page, &gpa) || gpa != m->gpa)
        return false;
    jit_map_page(j, id);
    return true;
}
