/* What all loaders share: claims on RAM, checked stores, GDT, page tables. */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "machine/boot_internal.h"

static int span_in_space(void *ctx, gpa_t a, size_t n, struct span *out)
{
    return space_span(ctx, a, n, out);
}

static void wrote_in_space(void *ctx, gpa_t a, size_t n)
{
    space_wrote(ctx, a, n);
}

struct boot_ram space_boot_ram(struct space *mem)
{
    return (struct boot_ram){span_in_space, wrote_in_space, mem};
}

void layout_init(struct boot_layout *l, const struct boot_request *r,
                 const struct boot_ram *ram)
{
    *l = (struct boot_layout){.req = r, .ram = ram};
}

/* The claim that [base, end) would run into, or NULL. */
static const struct boot_claim *collision(const struct boot_layout *l,
                                          uint64_t base, uint64_t end)
{
    for (unsigned i = 0; i < l->n; i++)
        if (base < l->claim[i].end && l->claim[i].base < end)
            return &l->claim[i];
    return NULL;
}

static uint64_t megabytes(uint64_t bytes)
{
    return align_up(bytes, 1 << 20) >> 20;
}

static int no_ram(const struct boot_layout *l, const char *what, uint64_t base,
                  uint64_t n, struct err *e)
{
    uint64_t low = MAX(e820_low_end(l->req->map), PC_MEGABYTE);
    uint64_t end = base + n;

    if (base >= PC_MEGABYTE && end > base && end <= PC_LOW_RAM_MAX)
        return err_set(e, LE_RANGE,
                       "%s: %s needs the memory up to %llu MB, but the guest "
                       "has %llu MB; give it more with --memory",
                       l->req->kernel.name, what,
                       (unsigned long long)megabytes(end),
                       (unsigned long long)megabytes(low));
    return err_set(e, LE_RANGE,
                   "%s: %s asks for memory at 0x%llx (%llu bytes), where a PC "
                   "has none",
                   l->req->kernel.name, what, (unsigned long long)base,
                   (unsigned long long)n);
}

int layout_check(const struct boot_layout *l, uint64_t base, uint64_t n,
                 const char *what, struct err *e)
{
    return e820_is_ram(l->req->map, base, n) ? 0 : no_ram(l, what, base, n, e);
}

int layout_claim(struct boot_layout *l, uint64_t base, uint64_t n,
                 const char *what, struct err *e)
{
    const struct boot_claim *other;
    int r = n ? layout_check(l, base, n, what, e) : 0;

    if (r || !n)
        return r;
    other = collision(l, base, base + n);
    if (other)
        return err_set(e, LE_FORMAT, "%s: %s and %s overlap at 0x%llx",
                       l->req->kernel.name, what, other->what,
                       (unsigned long long)MAX(base, other->base));
    if (l->n == BOOT_CLAIMS)
        return err_set(e, LE_UNSUPPORTED, "%s: too many parts to load",
                       l->req->kernel.name);
    l->claim[l->n++] = (struct boot_claim){base, base + n, what};
    return 0;
}

static int no_room(const struct boot_layout *l, const char *what, uint64_t n,
                   struct err *e)
{
    return err_set(e, LE_RANGE,
                   "%s (%llu MB) does not fit into the guest's memory beside "
                   "%s; give it more with --memory",
                   what, (unsigned long long)megabytes(n), l->req->kernel.name);
}

/* The highest place in [from, to) that no claim touches; false: none. */
static bool place_below(const struct boot_layout *l, uint64_t from, uint64_t to,
                        uint64_t n, uint64_t align, uint64_t *base)
{
    /* Each round ends or passes one claim for good. */
    while (to >= n && to - n >= from) {
        uint64_t at = align_down(to - n, align);
        const struct boot_claim *c = collision(l, at, at + n);

        if (at < from)
            return false;
        if (!c) {
            *base = at;
            return true;
        }
        to = c->base;
    }
    return false;
}

int layout_place_high(struct boot_layout *l, uint64_t n, uint64_t align,
                      uint64_t limit, const char *what, uint64_t *base,
                      struct err *e)
{
    const struct e820 *m = l->req->map;

    for (unsigned i = m->n; i-- > 0;) {
        uint64_t from = MAX(m->e[i].base, PC_MEGABYTE);
        uint64_t to = MIN(m->e[i].base + m->e[i].len, limit);

        if (m->e[i].type == E820_RAM && from < to &&
            place_below(l, from, to, n, align, base))
            return layout_claim(l, *base, n, what, e);
    }
    return no_room(l, what, n, e);
}

int layout_place_after(struct boot_layout *l, uint64_t n, uint64_t align,
                       uint64_t limit, const char *what, uint64_t *base,
                       struct err *e)
{
    uint64_t at = PC_MEGABYTE, end;

    for (unsigned i = 0; i < l->n; i++)
        at = MAX(at, l->claim[i].end);
    at = align_up(at, align);
    if (!add_ok(at, n, &end) || end > limit || !e820_is_ram(l->req->map, at, n))
        return layout_place_high(l, n, align, limit, what, base, e);
    *base = at;
    return layout_claim(l, at, n, what, e);
}

/* from NULL: zeroes. */
static int fill(struct boot_layout *l, gpa_t a, const uint8_t *from, uint64_t n,
                struct err *e)
{
    while (n) {
        struct span s;

        if (l->ram->span(l->ram->ctx, a, (size_t)n, &s) || !s.n)
            return err_set(e, LE_RANGE, "%s: no memory at 0x%llx to load it to",
                           l->req->kernel.name, (unsigned long long)a);
        s.n = (size_t)MIN(s.n, n);
        if (from) {
            memcpy(s.p, from, s.n);
            from += s.n;
        } else {
            memset(s.p, 0, s.n);
        }
        if (l->ram->wrote)
            l->ram->wrote(l->ram->ctx, a, s.n);
        a += s.n;
        n -= s.n;
    }
    return 0;
}

int boot_store(struct boot_layout *l, gpa_t a, const void *p, uint64_t n,
               struct err *e)
{
    return n ? fill(l, a, p, n, e) : 0;
}

int boot_zero(struct boot_layout *l, gpa_t a, uint64_t n, struct err *e)
{
    return fill(l, a, NULL, n, e);
}

int boot_put_cmdline(struct boot_layout *l, gpa_t at, uint64_t room,
                     const char *prefix, uint64_t max, struct err *e)
{
    const char *text = l->req->cmdline ? l->req->cmdline : "";
    uint64_t head = prefix ? strlen(prefix) : 0, n = strlen(text);
    uint64_t gap = head && n;
    int r;

    max = MIN(max, room - 1);
    if (head + gap + n > max)
        return err_set(e, LE_RANGE,
                       "the kernel command line has %llu bytes, but %s takes "
                       "%llu; shorten --append",
                       (unsigned long long)(head + gap + n),
                       l->req->kernel.name, (unsigned long long)max);
    r = layout_claim(l, at, room, "the command line", e);
    if (!r)
        r = boot_store(l, at, prefix, head, e);
    if (!r)
        r = boot_store(l, at + head, " ", gap, e);
    if (!r)
        r = boot_store(l, at + head + gap, text, n + 1, e);
    return r;
}

int boot_put_gdt(struct boot_layout *l, enum boot_mode mode, struct err *e)
{
    /* Flat 4 GB: code that may be read, in 64-bit (L) or 32-bit (D) mode, and
       data that may be written; accessed, so that loading writes nothing. */
    static const uint64_t code32 = 0x00cf9b000000ffff;
    static const uint64_t code64 = 0x00af9b000000ffff;
    static const uint64_t data = 0x00cf93000000ffff;
    uint8_t gdt[BOOT_DS + 8] = {0};
    int r = layout_claim(l, BOOT_GDT, sizeof gdt, "the descriptor table", e);

    store_le64(gdt + BOOT_CS, mode == BOOT_MODE_LONG ? code64 : code32);
    store_le64(gdt + BOOT_DS, data);
    return r ? r : boot_store(l, BOOT_GDT, gdt, sizeof gdt, e);
}

int boot_put_pages(struct boot_layout *l, struct err *e)
{
    enum { PRESENT = 1, WRITE = 2, LARGE = 0x80, ENTRIES = 512 };
    const gpa_t pdpt = BOOT_PAGES + PAGE_SIZE, pd = pdpt + PAGE_SIZE;
    uint8_t page[PAGE_SIZE] = {0};
    int r = layout_claim(l, BOOT_PAGES, BOOT_PAGES_SIZE, "the page tables", e);

    store_le64(page, pdpt | PRESENT | WRITE);
    if (!r)
        r = boot_store(l, BOOT_PAGES, page, PAGE_SIZE, e);
    for (unsigned i = 0; i < 4; i++)
        store_le64(page + i * 8, (pd + i * PAGE_SIZE) | PRESENT | WRITE);
    if (!r)
        r = boot_store(l, pdpt, page, PAGE_SIZE, e);
    for (unsigned gb = 0; !r && gb < 4; gb++) {
        for (uint64_t i = 0; i < ENTRIES; i++)
            store_le64(page + i * 8,
                       (gb * ENTRIES + i) << 21 | PRESENT | WRITE | LARGE);
        r = boot_store(l, pd + gb * PAGE_SIZE, page, PAGE_SIZE, e);
    }
    return r;
}
