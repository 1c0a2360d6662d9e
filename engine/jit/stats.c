/* The counters that tell where translated code was left, and for what. */
#include "engine/jit/jit.h"
#include "base/libc.h"

typedef void emit_fn(void *ctx, const char *name, uint64_t value);

enum { SHOWN_BODIES = 24 };

/* Are two rows told apart by no more than a size or an operand? */
static bool is_same(unsigned a, unsigned b)
{
    const struct opcode *x = &opcode_table[a], *y = &opcode_table[b];

    return x->byte == y->byte && x->map == y->map && !strcmp(x->name, y->name);
}

/* Runs of op's body and its like, counted at the first of them. */
static uint64_t runs_of(const struct jit_cpu *j, unsigned op)
{
    uint64_t n = 0;

    for (unsigned k = 0; k < op; k++)
        if (is_same(k, op))
            return 0;
    for (unsigned k = op; k < opcode_count; k++)
        if (j->stats.body[k] && is_same(k, op))
            n += j->stats.body[k];
    return n;
}

static void name_body(char *to, size_t room, const struct opcode *row)
{
    static const char *const map[] = {"", "0f",   "0f38", "0f3a",
                                      "", "map5", "map6"};

    snprintf(to, room, "body_%s_%s%02x", row->name,
             row->map < ARRAY_LEN(map) ? map[row->map] : "", row->byte);
}

/*
 * The instructions whose bodies ran most, as "body_<mnemonic>_<opcode>".
 * Selection by repeated search for the largest below the last: this is done
 * once.
 */
static void body_stats(const struct jit_cpu *j, emit_fn *emit, void *ctx)
{
    uint64_t *runs = host_alloc(opcode_count * sizeof *runs);
    uint64_t below = UINT64_MAX;
    unsigned after = 0;

    if (!runs)
        return;
    for (unsigned op = 0; op < opcode_count; op++)
        runs[op] = runs_of(j, op);
    for (unsigned shown = 0; shown < SHOWN_BODIES; shown++) {
        unsigned best = 0;
        uint64_t most = 0;
        char name[60];

        for (unsigned op = 0; op < opcode_count; op++) {
            uint64_t n = runs[op];

            if (n > most && (n < below || (n == below && op > after))) {
                best = op;
                most = n;
            }
        }
        if (!most)
            break;
        name_body(name, sizeof name, &opcode_table[best]);
        emit(ctx, name, most);
        below = most;
        after = best;
    }
    host_free(runs);
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
