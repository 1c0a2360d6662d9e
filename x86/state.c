#include "x86/state.h"
#include "base/libc.h"
#include "lodge/engine.h"

/* Which members belong to which group: each run of members is listed once. */
struct group {
    uint32_t bit;
    uint32_t from, to; /* byte offsets; to is past the last */
};

#define RUN(bit, first, last)                                                  \
    {                                                                          \
        bit, offsetof(struct x86_state, first),                                \
            offsetof(struct x86_state, last) +                                 \
                sizeof(((struct x86_state *)0)->last)                          \
    }

static const struct group groups[] = {
    RUN(STATE_REGS, gpr, rflags),
    RUN(STATE_SREGS, seg, pdpte),
    RUN(STATE_SREGS, cpl, cpl),
    RUN(STATE_DEBUG, dr, dr),
    RUN(STATE_MSRS, star, kvmclock_wall),
    RUN(STATE_EVENTS, activity, pending_db),
    RUN(STATE_FPU, fxsave, zmm),
};

void x86_state_copy(struct x86_state *to, const struct x86_state *from,
                    uint32_t which)
{
    for (unsigned n = 0; n < ARRAY_LEN(groups); n++) {
        const struct group *g = &groups[n];

        if (which & g->bit)
            memcpy((char *)to + g->from, (const char *)from + g->from,
                   g->to - g->from);
    }
}
