/*
 * What drops entries of the soft TLB. Large pages are cached in pieces: INVLPG
 * of any address drops all of a page's, and nothing else, not even where others
 * like it were seen. Who begins to watch a physical page finds its write tags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "x86/mmu.h"

enum { LARGE = 2 << 20, CODE = 3 };
#define GIGA   (1ull << 30)
#define SMALL  0x400000ull           /* user's, in 4 KB pages */
#define THERE  0x7ffff0200000ull     /* user's, in a page of 2 MB */
#define KERNEL 0xffff888000000000ull /* the kernel's, likewise, with G */

static struct cpu *cpu_new(void)
{
    struct cpu *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);

    assert_non_null(c);
    memset(c, 0, sizeof *c);
    tlb_flush_all(c);
    return c;
}

static struct tlb_entry *entry_at(struct cpu *c, gva_t a)
{
    return &c->tlbs[TLB_USER][a >> PAGE_SHIFT & (TLB_SIZE - 1)];
}

static void fill(struct cpu *c, gva_t a, uint64_t size, bool global)
{
    *entry_at(c, a) = (struct tlb_entry){
        a, a, 0,
        (global ? TLB_GLOBAL : 0) | (size > PAGE_SIZE ? TLB_LARGE : 0)};
    if (size > PAGE_SIZE)
        tlb_note_large(c, a, size, global);
}

static bool has(struct cpu *c, gva_t a)
{
    return entry_at(c, a)->read == a;
}

static void fill_code(struct cpu *c, gva_t a)
{
    c->itlb[1][CODE].tag = a;
}

static void all_pieces_go(void **unused)
{
    struct cpu *c = cpu_new();
    gva_t last = THERE + LARGE - PAGE_SIZE, next = THERE + LARGE;

    (void)unused;
    if (TLB_SIZE == 1)
        skip();
    fill(c, THERE, LARGE, false);
    fill(c, last, LARGE, false);
    fill(c, next, LARGE, false);
    fill_code(c, last);
    tlb_flush_page(c, THERE + 0x5000);
    assert_false(has(c, THERE));
    assert_false(has(c, last));
    assert_true(has(c, next));
    assert_int_equal(c->itlb[1][CODE].tag, TLB_NONE);
    /* Who caches code by address is told of the piece and of the page. */
    assert_int_equal(c->flushes_page, 2);
    assert_int_equal(c->flushed[1], (THERE + 0x5000) | TLB_LARGE);
    free(c);
}

static void others_stay(void **unused)
{
    struct cpu *c = cpu_new();
    uint64_t all = c->flushes_all;

    (void)unused;
    if (TLB_SIZE == 1)
        skip();
    fill(c, KERNEL + 0x1000, LARGE, true);
    fill(c, THERE + 0x2000, LARGE, false);
    fill(c, SMALL + 0x3000, PAGE_SIZE, false);
    fill_code(c, KERNEL);
    tlb_flush_page(c, SMALL + 0x3000);
    assert_false(has(c, SMALL + 0x3000));
    assert_true(has(c, KERNEL + 0x1000));
    assert_true(has(c, THERE + 0x2000));
    assert_int_equal(c->itlb[1][CODE].tag, KERNEL);
    assert_int_equal(c->flushes_page, 1);
    assert_int_equal(c->flushes_all, all);
    free(c);
}

static void known_until_flushed(void **unused)
{
    struct cpu *c = cpu_new();

    (void)unused;
    fill(c, THERE, LARGE, false);
    fill(c, KERNEL, LARGE, true);
    tlb_flush_nonglobal(c);
    tlb_flush_page(c, THERE);
    assert_int_equal(c->flushes_page, 1);
    tlb_flush_page(c, KERNEL + 0x7000);
    assert_int_equal(c->flushes_page, 3);
    tlb_flush_all(c);
    tlb_flush_page(c, KERNEL);
    assert_int_equal(c->flushes_page, 4);
    free(c);
}

static void a_gigabyte(void **unused)
{
    struct cpu *c = cpu_new();
    uint64_t all = c->flushes_all;

    (void)unused;
    if (TLB_SIZE == 1)
        skip();
    fill(c, KERNEL + 0x1000, GIGA, true);
    fill(c, KERNEL + GIGA, GIGA, true);
    tlb_flush_page(c, KERNEL + GIGA / 2);
    assert_false(has(c, KERNEL + 0x1000));
    assert_true(has(c, KERNEL + GIGA));
    assert_int_equal(c->flushes_all, all + 1);
    free(c);
}

/* --- who writes a page --- */

/* Pages of one bucket: see writers_of() in x86/tlb.c. */
#define RAM(n) ((gpa_t)((n)*TLB_WRITERS | (0x100 ^ 2 * (n))) * PAGE_SIZE)

/* Slot n of the TLB maps that page. */
static struct tlb_entry *fill_writer(struct cpu *c, unsigned n, gpa_t page)
{
    gva_t a = (gva_t)n * PAGE_SIZE;
    struct tlb_entry *e = entry_at(c, a);

    *e = (struct tlb_entry){a, a, 0, page | TLB_WRITABLE};
    tlb_note_write(c, e, page);
    return e;
}

static bool may_write(const struct tlb_entry *e)
{
    return e->write == e->read;
}

static void one_page_of_a_bucket(void **unused)
{
    struct cpu *c = cpu_new();
    struct tlb_entry *one = fill_writer(c, 1, RAM(1)),
                     *other = fill_writer(c, 2, RAM(2)),
                     *again = fill_writer(c, 3, RAM(1));

    (void)unused;
    if (TLB_SIZE == 1)
        skip();
    tlb_forget_writes(c, RAM(1));
    assert_false(may_write(one));
    assert_false(may_write(again));
    assert_true(may_write(other));
    tlb_forget_writes(c, RAM(2));
    assert_false(may_write(other));
    free(c);
}

static void more_than_fit(void **unused)
{
    enum { MANY = 3 * TLB_WRITER_ENTRIES };
    struct cpu *c = cpu_new();
    struct tlb_entry *e[MANY];

    (void)unused;
    if (TLB_SIZE == 1)
        skip();
    for (unsigned n = 0; n < MANY; n++)
        e[n] = fill_writer(c, n, RAM(1));
    tlb_forget_writes(c, RAM(1));
    for (unsigned n = 0; n < MANY; n++)
        assert_false(may_write(e[n]));
    free(c);
}

/* Those that are another page's by now take no room. */
static void entries_that_move(void **unused)
{
    enum { TURNS = 8 * TLB_WRITER_ENTRIES };
    struct cpu *c = cpu_new();
    struct tlb_entry *stays = fill_writer(c, TURNS, RAM(2));

    (void)unused;
    if (TLB_SIZE == 1)
        skip();
    for (unsigned n = 0; n < TURNS; n++) {
        fill_writer(c, n, RAM(1));
        fill_writer(c, n, RAM(1) + PAGE_SIZE);
    }
    fill_writer(c, 0, RAM(1));
    tlb_forget_writes(c, RAM(1));
    assert_false(may_write(entry_at(c, 0)));
    assert_true(may_write(stays));
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pieces_go),        cmocka_unit_test(others_stay),
        cmocka_unit_test(known_until_flushed),  cmocka_unit_test(a_gigabyte),
        cmocka_unit_test(one_page_of_a_bucket), cmocka_unit_test(more_than_fit),
        cmocka_unit_test(entries_that_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
