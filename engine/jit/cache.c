/* Translations: finding, linking, forgetting. All with jit->lock held. */
#include "engine/jit/jit.h"
#include "base/libc.h"

static struct jit_block **bucket(struct jit *j, gpa_t gpa, uint64_t rip,
                                 uint32_t mode)
{
    uint64_t h =
        (gpa ^ rip << 13 ^ (uint64_t)mode << 40) * 0x9e3779b97f4a7c15ull;

    return &j->hash[h >> 32 & (JIT_HASH - 1)];
}

static struct jit_page **page_bucket(struct jit *j, gpa_t a)
{
    return &j->by_page[(a >> PAGE_SHIFT) & (JIT_PAGES - 1)];
}

struct jit_block *jit_search(struct jit *j, gpa_t gpa, uint64_t rip,
                             uint32_t mode, uint64_t cs)
{
    struct jit_block *b = *bucket(j, gpa, rip, mode);

    while (b &&
           (b->gpa != gpa || b->rip != rip || b->mode != mode || b->cs != cs))
        b = b->hash_next;
    return b;
}

void jit_insert(struct jit *j, struct jit_block *b)
{
    struct jit_block **head = bucket(j, b->gpa, b->rip, b->mode);

    b->hash_next = *head;
    *head = b;
    for (unsigned n = 0; n < b->npages; n++) {
        struct jit_page *p = &b->pages[n], **list = page_bucket(j, p->page);

        p->block = b;
        p->next = *list;
        *list = p;
    }
}

/* --- links --- */

/*
 * Other vCPUs may be running the jump: its four bytes change at once where
 * they do not cross a cache line, which the translator sees to.
 */
static void patch(struct jit *j, struct jit_link *l, const uint8_t *target)
{
    intptr_t from = (intptr_t)l->patch + j->e.to_rx + 4;

    __atomic_store_n((uint32_t *)(void *)l->patch,
                     (uint32_t)((intptr_t)target - from), __ATOMIC_RELEASE);
}

void jit_connect(struct jit *j, struct jit_link *l, struct jit_block *to)
{
    /* An interrupt may have come between the branch and its target. */
    if (l->to || l->from->dead || to->dead || l->target != to->rip ||
        l->mode != (to->mode & ~MODE_ALONE) || l->from->cs != to->cs ||
        l->alone != !!(to->mode & MODE_ALONE))
        return;
    l->to = to;
    l->next = to->incoming;
    to->incoming = l;
    patch(j, l, l->same_page ? to->code : to->checked);
}

static void disconnect(struct jit *j, struct jit_link *l)
{
    struct jit_link **at;

    if (!l->to)
        return;
    for (at = &l->to->incoming; *at != l; at = &(*at)->next)
        ;
    *at = l->next;
    l->to = NULL;
    patch(j, l, l->stub);
}

/* --- forgetting --- */

static void forget_target(struct jit *j, const struct jit_block *b)
{
    for (unsigned id = 0; id < vm_ncpus(j->vm); id++) {
        struct jit_cpu *c = vm_vcpu(j->vm, id)->priv;

        if (c)
            jit_forget_target(c, b);
    }
}

void jit_forget(struct jit *j, struct jit_block *b)
{
    struct jit_block **at = bucket(j, b->gpa, b->rip, b->mode);

    while (*at != b)
        at = &(*at)->hash_next;
    *at = b->hash_next;
    for (unsigned n = 0; n < b->npages; n++) {
        struct jit_page **p = page_bucket(j, b->pages[n].page);

        while (*p != &b->pages[n])
            p = &(*p)->next;
        *p = b->pages[n].next;
    }
    while (b->incoming)
        disconnect(j, b->incoming);
    disconnect(j, &b->out[0]);
    disconnect(j, &b->out[1]);
    for (struct jit_link *l = b->more; l; l = l->sibling)
        disconnect(j, l);
    forget_target(j, b);
    b->dead = true;
}

void jit_invalidate_page(struct jit *j, gpa_t page)
{
    struct jit_page *p = *page_bucket(j, page);

    while (p) {
        struct jit_page *next = p->next;

        if (p->page == page) {
            /* Its other page may be the next in this very list. */
            while (next && next->block == p->block)
                next = next->next;
            jit_forget(j, p->block);
        }
        p = next;
    }
}

/* No vCPU is in translated code. */
void jit_flush(struct jit *j)
{
    memset(j->hash, 0, sizeof j->hash);
    memset(j->by_page, 0, sizeof j->by_page);
    memset(j->map_heads, 0, sizeof j->map_heads);
    memset(j->careful, 0, sizeof j->careful);
    j->nmaps = 0;
    j->e.p = j->code_start;
    j->cold.p = j->cold_start;
    j->meta_used = JIT_META_FIRST;
    j->epoch++;
    for (unsigned id = 0; id < vm_ncpus(j->vm); id++) {
        struct jit_cpu *c = vm_vcpu(j->vm, id)->priv;

        if (!c)
            continue;
        jit_disown_tables(c);
        memset(c->maps, 0, sizeof c->maps);
        c->nlocal = 0;
        c->exit_link = NULL;
        c->stats.flushes++;
    }
}

void *jit_meta_alloc(struct jit *j, size_t bytes)
{
    void *p = j->meta + j->meta_used;

    j->meta_used += align_up(bytes, 16);
    return p;
}

/* --- pages that change their own code --- */

bool jit_is_careful(const struct jit *j, gpa_t page)
{
    unsigned n = (page >> PAGE_SHIFT) & (JIT_CAREFUL - 1);

    return j->careful[n / 64] >> n % 64 & 1;
}

void jit_be_careful(struct jit *j, gpa_t page)
{
    unsigned n = (page >> PAGE_SHIFT) & (JIT_CAREFUL - 1);

    j->careful[n / 64] |= BIT64(n % 64);
}
