/*
 * The stack's page (struct stack_page) is one more entry of the TLB: whatever
 * may drop its like forgets it, also when its own entry is another's by now.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/interp/interp.h"
#include "x86/mmu.h"

enum { PAGE = 0x5000, OTHER = 0x9000 };

static void flush_page(struct cpu *c)
{
    tlb_flush_page(c, PAGE);
}

static void forget_writes(struct cpu *c)
{
    tlb_forget_writes(c, OTHER);
}

static void drop_entry(struct cpu *c)
{
    tlb_drop_entry(c, &c->tlbs[TLB_USER][0]);
}

static void drop_write(struct cpu *c)
{
    tlb_drop_write(c, &c->tlbs[TLB_USER][0]);
}

static void (*const droppers[])(struct cpu *c) = {
    tlb_flush_all,    tlb_flush_nonglobal,
    flush_page,       forget_writes,
    drop_entry,       drop_write,
    x86_mode_changed, interp_forget_write_tags,
};

static void forgotten(void **unused)
{
    struct cpu *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
    struct vcpu v = {0};

    (void)unused;
    assert_non_null(c);
    memset(c, 0, sizeof *c);
    c->vcpu = &v;
    for (unsigned n = 0; n < ARRAY_LEN(droppers); n++) {
        c->stack = (struct stack_page){PAGE, 0x1000};
        droppers[n](c);
        if (c->stack.page != STACK_NONE)
            fail_msg("number %u keeps it", n);
        /* Who has that address finds nothing of anybody's. */
        assert_ptr_equal((void *)(uintptr_t)(STACK_NONE + c->stack.addend),
                         c->nowhere);
    }
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forgotten)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
