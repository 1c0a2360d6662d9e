/* The counters that tell where translated code was left, and for what. */
#include "engine/jit/jit.h"
#include "base/libc.h"

typedef void emit_fn(void *ctx, const char *name, uint64_t value);

enum { SHOWN_BODIES = 24 };

/*
 * The instructions whose bodies ran most, as "body_<mnemonic>". Selection by
 * repeated search for the largest below the last: the table is small, and this
 * is done once.
 */
static void body_stats(const struct jit_cpu *j, emit_fn *emit, void *ctx)
{
    uint64_t below = UINT64_MAX;
    unsigned after = 0;

    for (unsigned shown = 0; shown < SHOWN_BODIES; shown++) {
        unsigned best = 0;
        uint64_t most = 0;
        char name[40];

        for (unsigned op = 0; op < JIT_ROWS; op++) {
            uint64_t n = j->stats.body[op];

            if (n > most && (n < below || (n == below && op > after))) {
                best = op;
                most = n;
            }
        }
        if (!most)
            return;
        snprintf(name, sizeof name, "body_%s", opcode_table[best].name);
        emit(ctx, name, most);
        below = most;
        after = best;
    }
}

void jit_stats(struct vcpu *v, emit_fn *emit, void *ctx)
{
    const struct jit_cpu *j = v->priv;
    const struct jit_stats *s = &j->stats;
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"translations", s->translations},
        {"translations_16_bit", s->translations_16},
        {"translations_32_bit", s->translations_32},
        {"code_bytes", (uint64_t)(j->jit->e.p - j->jit->code_start)},
        {"cold_code_bytes", (uint64_t)(j->jit->cold.p - j->jit->cold_start)},
        {"cache_flushes", s->flushes},
        {"exits", s->exits},
        {"exits_unlinked", s->exits_unlinked},
        {"exits_indirect", s->exits_indirect},
        {"reentries", s->reentries},
        {"recalls", s->recalls},
        {"searches", s->lookups},
        {"cold_blocks", s->cold},
        {"untranslatable_blocks", s->interpreted},
        {"links", s->links},
        {"bodies", s->bodies},
        {"slow_memory", s->slow_memory},
        {"group_misses", s->group_misses},
        {"vector_evictions", s->fp_saves},
        {"code_writes", s->invalidations},
        {"checked_blocks", s->checked},
        {"undefined_flags", s->undefined},
    };

    interp_stats(v, emit, ctx);
    for (unsigned n = 0; n < ARRAY_LEN(counters); n++)
        emit(ctx, counters[n].name, counters[n].value);
    body_stats(j, emit, ctx);
}
