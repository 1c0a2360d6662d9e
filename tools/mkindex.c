/*
 * Build-time program: prints the index of the opcode table (opindex.h) as C.
 * Fails when two rows of a slot can match the same bytes and neither is the
 * more particular.
 */
#include <stdio.h>
#include <stdlib.h>

#define OPCODE_TABLE_ONLY
#include "x86/opcode.c"
#include "x86/opindex.h"

enum { MATCHES_MAX = 64 };

static void constrain(struct opcode_match *m, unsigned mask, unsigned value)
{
    m->mask |= mask;
    m->value |= value;
}

static struct opcode_match match_of(const struct opcode *o, unsigned row)
{
    struct opcode_match m = {.row = row};

    if (o->mode & ROW_ONLY64)
        constrain(&m, KEY_64, KEY_64);
    if (o->mode & ROW_NO64)
        constrain(&m, KEY_64, 0);
    if (o->pp <= PP_F2)
        constrain(&m, KEY_PP, o->pp << KEY_PP_SHIFT);
    if (o->pp == PP_NFx)
        constrain(&m, KEY_REP, 0);
    if (o->w != W_WIG)
        constrain(&m, KEY_W, o->w == W_W1 ? KEY_W : 0);
    if (o->l <= L_L2)
        constrain(&m, KEY_L, o->l << KEY_L_SHIFT);
    if (o->l == L_L01)
        constrain(&m, KEY_L2, 0);
    if (o->reg < EXT_ANY)
        constrain(&m, KEY_REG, o->reg << KEY_REG_SHIFT);
    if (o->rm < EXT_ANY)
        constrain(&m, KEY_RM, o->rm << KEY_RM_SHIFT);
    if (o->mod == MOD_MEM || o->mod == MOD_LOW0)
        constrain(&m, KEY_MOD3, 0);
    if (o->mod == MOD_REG)
        constrain(&m, KEY_MOD3, KEY_MOD3);
    return m;
}

static bool covers(const struct opcode *o, unsigned slot)
{
    unsigned byte = slot % 256;

    if (slot_space(o->encoding, o->map) != slot / 256)
        return false;
    if (o->mod == MOD_LOW || o->mod == MOD_LOW0)
        return o->mod == MOD_LOW ? (byte & ~7u) == o->byte : byte == o->byte;
    return byte == o->byte;
}

/* Puts the particular before the general. */
static void insert(struct opcode_match *to, unsigned n, struct opcode_match m)
{
    unsigned i = n;

    while (i > 0 &&
           __builtin_popcount(to[i - 1].mask) < __builtin_popcount(m.mask)) {
        to[i] = to[i - 1];
        i--;
    }
    to[i] = m;
}

static bool ambiguous(const struct opcode_match *a,
                      const struct opcode_match *b)
{
    uint16_t common = a->mask & b->mask;

    if ((a->value & common) != (b->value & common))
        return false;
    return a->mask == b->mask || (common != a->mask && common != b->mask);
}

static bool has_modrm(const struct opcode *o)
{
    return o->mod >= MOD_ANY;
}

static unsigned slot_fill(struct opcode_match *to, unsigned slot, bool *modrm)
{
    unsigned n = 0;

    for (unsigned row = 0; row < opcode_count; row++) {
        const struct opcode *o = &opcode_table[row];

        if (!covers(o, slot))
            continue;
        if (n == MATCHES_MAX || (n && has_modrm(o) != *modrm)) {
            fprintf(stderr, "opcode table: slot %x of '%s'\n", slot, o->name);
            exit(1);
        }
        *modrm = has_modrm(o);
        insert(to, n++, match_of(o, row));
    }
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = i + 1; j < n; j++)
            if (ambiguous(&to[i], &to[j])) {
                fprintf(stderr, "opcode table: '%s' and '%s' (%02x) clash\n",
                        opcode_table[to[i].row].name,
                        opcode_table[to[j].row].name, slot % 256);
                exit(1);
            }
    return n;
}

int main(void)
{
    static struct opcode_slot slots[SLOT_SPACES * 256];
    unsigned total = 0;

    printf("static const struct opcode_match opcode_matches[] = {\n");
    for (unsigned s = 0; s < ARRAY_LEN(slots); s++) {
        struct opcode_match m[MATCHES_MAX];
        bool modrm = false;
        unsigned n = slot_fill(m, s, &modrm);

        slots[s] = (struct opcode_slot){total, n, modrm};
        for (unsigned i = 0; i < n; i++)
            printf("    {0x%x, 0x%x, %u},\n", m[i].mask, m[i].value, m[i].row);
        total += n;
    }
    printf("};\n\nstatic const struct opcode_slot opcode_slots[] = {\n");
    for (unsigned s = 0; s < ARRAY_LEN(slots); s++)
        printf("    {%u, %u, %u},\n", slots[s].first, slots[s].count,
               slots[s].modrm);
    printf("};\n");
    return 0;
}
