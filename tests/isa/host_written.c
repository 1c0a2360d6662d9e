#include <stdlib.h>

#include "engine/jit/translate.h"
#include "host_written.h"

static struct trans t;

bool written_open(void)
{
    if (opcode_count > JIT_ROWS)
        return false;
    t.j = calloc(1, sizeof *t.j);
    if (t.j)
        jit_know_rows(t.j);
    return t.j;
}

uint32_t written_unexpected(const struct insn *i,
                            const struct host_state *before,
                            const struct host_state *after)
{
    uint32_t changed = 0;

    for (unsigned n = 0; n < 16; n++)
        if (before->gpr[n] != after->gpr[n])
            changed |= 1u << n;
    return changed & ~written_gprs(&t, i);
}
