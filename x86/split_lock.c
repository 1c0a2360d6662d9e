#include "x86/split_lock.h"

#include "base/bits.h"
#include "base/endian.h"
#include "x86/mem.h"

enum { LINE = 64, WORD = 8 };

static uint64_t word_load(uint64_t *p)
{
    uint64_t v = __atomic_load_n(p, __ATOMIC_SEQ_CST);

    return load_le64((const uint8_t *)&v);
}

static bool word_replace(uint64_t *p, uint64_t old, uint64_t v)
{
    uint8_t o[WORD], n[WORD];
    uint64_t expected, wanted;

    store_le64(o, old);
    store_le64(n, v);
    memcpy(&expected, o, WORD);
    memcpy(&wanted, n, WORD);
    return __atomic_compare_exchange_n(p, &expected, wanted, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

bool split_begin(struct cpu *c, struct split_lock *s, gva_t a, unsigned n)
{
    gva_t next = (a | (LINE - 1)) + 1;
    uint8_t *first, *second;

    s->stored = false;
    s->low = (uint8_t)(next - a);
    s->high = (uint8_t)(n - s->low);
    first = mem_writable(c, a, 1);
    second = mem_writable(c, in_long_mode(c) ? next : (uint32_t)next, 1);
    if (!first || !second)
        return false;
    s->word[0] = (uint64_t *)(void *)(first + s->low - WORD);
    s->word[1] = (uint64_t *)(void *)second;
    return true;
}

uint64_t split_read(struct split_lock *s)
{
    if (!s->stored)
        s->was[0] = word_load(s->word[0]);
    s->was[1] = word_load(s->word[1]);
    return (s->was[0] >> 8 * (WORD - s->low) | s->was[1] << 8 * s->low) &
           mask_low(8 * (s->low + s->high));
}

bool split_commit(struct split_lock *s, uint64_t v)
{
    unsigned below = 8 * (WORD - s->low), bits = 8 * s->high;
    uint64_t low = (s->was[0] & mask_low(below)) | v << below;
    uint64_t high =
        (s->was[1] & ~mask_low(bits)) | ((v >> 8 * s->low) & mask_low(bits));

    if (s->stored && low != s->made) {
        word_replace(s->word[0], s->made, s->was[0]);
        s->stored = false;
        return false;
    }
    if (!s->stored && !word_replace(s->word[0], s->was[0], low))
        return false;
    s->stored = true;
    s->made = low;
    return word_replace(s->word[1], s->was[1], high);
}
