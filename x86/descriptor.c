/* Descriptors in the GDT and LDT (SDM 3.4, 3.5). */
#include "x86/system.h"

static const struct x86_table *gdt(const struct cpu *c)
{
    return &c->s.gdt;
}

/* The address of sel's descriptor of n bytes; false: outside its table. */
static bool locate(const struct cpu *c, uint16_t sel, unsigned n, gva_t *a)
{
    unsigned at = sel & ~7u;

    if (!(sel & SEL_TI)) {
        *a = gdt(c)->base + at;
        return at + n - 1 <= gdt(c)->limit;
    }
    *a = c->s.ldt.base + at;
    return !(c->s.ldt.attr & SEG_UNUSABLE) && at + n - 1 <= c->s.ldt.limit;
}

bool desc_read(struct cpu *c, uint16_t sel, uint64_t *raw)
{
    gva_t a;

    if (sel_null(sel) || !locate(c, sel, 8, &a))
        return false;
    *raw = mem_read_system(c, a, 8);
    return true;
}

bool desc_read_high(struct cpu *c, uint16_t sel, uint64_t *raw)
{
    gva_t a;

    if (!locate(c, sel, 16, &a))
        return false;
    *raw = mem_read_system(c, a + 8, 8);
    return true;
}

uint64_t desc_get(struct cpu *c, uint16_t sel, unsigned vector, unsigned ext)
{
    uint64_t raw;

    if (!desc_read(c, sel, &raw))
        x86_raise_selector(c, vector, sel, ext);
    return raw;
}

uint64_t desc_get_high(struct cpu *c, uint16_t sel)
{
    uint64_t high;

    if (!desc_read_high(c, sel, &high) || bits(high, 44, 40))
        x86_raise_selector(c, EXC_GP, sel, 0);
    return high << 32;
}

struct x86_seg desc_segment(uint16_t sel, uint64_t raw)
{
    struct x86_seg s = {
        .sel = sel,
        .base = bits(raw, 39, 16) | bits(raw, 63, 56) << 24,
        .limit = (uint32_t)(bits(raw, 15, 0) | bits(raw, 51, 48) << 16),
        .attr = bits(raw, 55, 40) & 0xf0ff,
    };

    if (s.attr & SEG_G)
        s.limit = s.limit << 12 | 0xfff;
    return s;
}

struct gate desc_gate(uint64_t raw)
{
    return (struct gate){
        .offset = bits(raw, 15, 0) | bits(raw, 63, 48) << 16,
        .sel = (uint16_t)bits(raw, 31, 16),
        .attr = (uint8_t)bits(raw, 47, 40),
        .params = bits(raw, 36, 32),
        .ist = bits(raw, 34, 32),
    };
}

void desc_accessed(struct cpu *c, struct x86_seg *s)
{
    gva_t a;

    if (s->attr & SEG_ACCESSED)
        return;
    s->attr |= SEG_ACCESSED;
    if (locate(c, s->sel, 8, &a))
        mem_write_system(c, a + 5, s->attr & 0xff, 1);
}

void desc_busy(struct cpu *c, uint16_t sel, bool busy)
{
    gva_t a;
    uint64_t byte;

    if (!locate(c, sel, 8, &a))
        return;
    byte = mem_read_system(c, a + 5, 1);
    byte = busy ? byte | SYS_BUSY : byte & ~(uint64_t)SYS_BUSY;
    mem_write_system(c, a + 5, byte, 1);
}

void desc_probe_write(struct cpu *c, uint16_t sel)
{
    gva_t a;

    if (locate(c, sel, 8, &a))
        mem_write_system(c, a + 5, mem_read_system(c, a + 5, 1), 1);
}
