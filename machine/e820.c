#include "machine/e820.h"

#include "base/checked.h"
#include "base/endian.h"

uint64_t pc_low_ram(uint64_t ram)
{
    return MIN(ram, PC_LOW_RAM_MAX);
}

uint64_t pc_high_ram(uint64_t ram)
{
    return ram - pc_low_ram(ram);
}

/* Room for one more at i; the caller has checked that there is any. */
static void insert(struct e820 *m, unsigned i, struct e820_entry e)
{
    memmove(&m->e[i + 1], &m->e[i], (m->n - i) * sizeof m->e[0]);
    m->e[i] = e;
    m->n++;
}

static void remove_at(struct e820 *m, unsigned i)
{
    m->n--;
    memmove(&m->e[i], &m->e[i + 1], (m->n - i) * sizeof m->e[0]);
}

/* Cuts [base, end) out of every entry; splits at most one. */
static void cut(struct e820 *m, uint64_t base, uint64_t end)
{
    for (unsigned i = 0; i < m->n;) {
        struct e820_entry *e = &m->e[i];
        uint64_t e_end = e->base + e->len;

        if (e_end <= base || e->base >= end) {
            i++;
        } else if (e->base < base && e_end > end) {
            e->len = base - e->base;
            insert(m, i + 1,
                   (struct e820_entry){end, e_end - end, m->e[i].type});
            return;
        } else if (e->base < base) {
            e->len = base - e->base;
            i++;
        } else if (e_end > end) {
            e->base = end;
            e->len = e_end - end;
            i++;
        } else {
            remove_at(m, i);
        }
    }
}

static bool joins(const struct e820_entry *a, const struct e820_entry *b)
{
    return a->base + a->len == b->base && a->type == b->type;
}

int e820_set(struct e820 *m, uint64_t base, uint64_t len, uint32_t type)
{
    uint64_t end;
    unsigned i;

    /* A cut may add one entry and the insertion one more. */
    if (!len || !add_ok(base, len, &end) || m->n + 2 > E820_MAX)
        return -LE_RANGE;
    cut(m, base, end);
    for (i = 0; i < m->n && m->e[i].base < base; i++)
        ;
    insert(m, i, (struct e820_entry){base, len, type});
    if (i + 1 < m->n && joins(&m->e[i], &m->e[i + 1])) {
        m->e[i].len += m->e[i + 1].len;
        remove_at(m, i + 1);
    }
    if (i > 0 && joins(&m->e[i - 1], &m->e[i])) {
        m->e[i - 1].len += m->e[i].len;
        remove_at(m, i);
    }
    return 0;
}

void e820_pc(struct e820 *m, uint64_t ram)
{
    uint64_t low = pc_low_ram(ram), high = pc_high_ram(ram);

    m->n = 0;
    e820_set(m, 0, low, E820_RAM);
    if (high)
        e820_set(m, PC_HIGH_RAM_BASE, high, E820_RAM);
    e820_set(m, PC_EBDA, PC_VGA - PC_EBDA, E820_RESERVED);
    /* Neither RAM nor announced: the video memory and option ROMs. */
    cut(m, PC_VGA, PC_BIOS_DATA);
    e820_set(m, PC_BIOS_DATA, PC_MEGABYTE - PC_BIOS_DATA, E820_RESERVED);
    /* IOAPIC, HPET, local APICs, and the ROM below 4 GB. */
    e820_set(m, 0xfec00000, 0x1000, E820_RESERVED);
    e820_set(m, 0xfed00000, 0x400, E820_RESERVED);
    e820_set(m, 0xfee00000, 0x1000, E820_RESERVED);
    e820_set(m, 0xffff0000, 0x10000, E820_RESERVED);
}

bool e820_is_ram(const struct e820 *m, uint64_t base, uint64_t len)
{
    uint64_t end;

    if (!len || !add_ok(base, len, &end))
        return false;
    /* Neighbours of one type are one entry, so one must hold it all. */
    for (unsigned i = 0; i < m->n; i++) {
        const struct e820_entry *e = &m->e[i];

        if (e->type == E820_RAM && e->base <= base && end <= e->base + e->len)
            return true;
    }
    return false;
}

uint64_t e820_low_end(const struct e820 *m)
{
    for (unsigned i = 0; i < m->n; i++) {
        const struct e820_entry *e = &m->e[i];

        if (e->type == E820_RAM && e->base <= PC_MEGABYTE &&
            e->base + e->len > PC_MEGABYTE)
            return e->base + e->len;
    }
    return 0;
}

void e820_put(const struct e820 *m, unsigned i, uint8_t *to)
{
    store_le64(to, m->e[i].base);
    store_le64(to + 8, m->e[i].len);
    store_le32(to + 16, m->e[i].type);
}
