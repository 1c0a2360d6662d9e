/* What translated code calls: memory that missed, bodies, vector state. */
#include "engine/jit/jit.h"
#include "x86/flags.h"

uint64_t jit_flags_to_rflags(uint16_t ax)
{
    return (uint64_t)(ax >> 8 & (FLAGS_STATUS & 0xff)) | (ax & 1 ? FLAG_OF : 0);
}

uint16_t jit_flags_from_rflags(uint64_t rflags)
{
    return (uint16_t)((rflags & (FLAGS_STATUS & 0xff)) << 8 | FLAG_1 << 8 |
                      (rflags & FLAG_OF ? 1 : 0));
}

/* --- vector and x87 state --- */

enum { FXSAVE_MXCSR = 24, MXCSR_DEFAULT = 0x1f80 };

void jit_fp_evict(struct jit_cpu *j)
{
    struct cpu *c = &j->ic.cpu;
    uint8_t *image = c->s.fxsave;
    uint8_t keep[24];

    if (!jit_near(j)->fp_live)
        return;
    j->stats.fp_saves++;
    if (jit_near(j)->fp_live & FP_X87) {
        /* The host's instruction pointers are not the guest's. */
        for (unsigned n = 6; n < 24; n++)
            keep[n] = image[n];
        j->jit->thunk.fp_save(c, jit_near(j)->fp_live);
        for (unsigned n = 6; n < 24; n++)
            image[n] = keep[n];
        store_le64(image + 8, j->fip);
        store_le32(image + FXSAVE_MXCSR, MXCSR_DEFAULT);
    } else {
        j->jit->thunk.fp_save(c, jit_near(j)->fp_live);
    }
    jit_near(j)->fp_live = 0;
}

static bool upper_parts_zero(const struct x86_state *s)
{
    uint64_t bits = 0;

    for (unsigned n = 0; n < 16; n++)
        for (unsigned k = 2; k < 8; k++)
            bits |= load_le64(&s->zmm[n][8 * k]);
    return !bits;
}

static void fp_load(struct jit_cpu *j, unsigned which)
{
    struct cpu *c = &j->ic.cpu;

    /* FXRSTOR changes XMM registers too: those that are live go first. */
    if (which & ~jit_near(j)->fp_live & FP_X87) {
        which |= jit_near(j)->fp_live;
        jit_fp_evict(j);
        store_le32(c->s.fxsave + FXSAVE_MXCSR, MXCSR_DEFAULT);
        j->fip = load_le64(c->s.fxsave + 8);
    }
    which &= ~(unsigned)jit_near(j)->fp_live;
    if (which)
        j->jit->thunk.fp_load(
            c, which | (upper_parts_zero(&c->s) ? FP_XMM_ONLY : 0));
    jit_near(j)->fp_live |= (uint8_t)which;
}

/*
 * With an exception unmasked the host would fault in translated code: such
 * guests (few) get their vector and x87 instructions interpreted.
 */
static bool unmasked(const struct cpu *c, unsigned which)
{
    enum { MXCSR_MASKS = 0x1f80, FCW_MASKS = 0x3f };

    return ((which & FP_VECTOR) && (c->s.mxcsr & MXCSR_MASKS) != MXCSR_MASKS) ||
           ((which & FP_X87) && (c->s.fxsave[0] & FCW_MASKS) != FCW_MASKS);
}

enum jit_result jit_fp_need(struct cpu *c, const struct jit_insn *i,
                            unsigned which)
{
    struct jit_cpu *j = jit_of(c);

    if (unmasked(c, which & ~(unsigned)jit_near(j)->fp_live)) {
        c->s.rip = i->rip;
        j->interpret = true;
        return JIT_EXIT;
    }
    fp_load(j, which);
    return JIT_DONE;
}

/* --- bodies --- */

static void flags_in(struct jit_cpu *j)
{
    flags_set_status(&j->ic.cpu, jit_flags_to_rflags(jit_near(j)->flags));
}

static void flags_out(struct jit_cpu *j)
{
    jit_near(j)->flags = jit_flags_from_rflags(flags_get(&j->ic.cpu));
}

static void enter_insn(struct cpu *c, const struct jit_insn *i)
{
    c->insn = &i->i;
    c->block_rip = i->rip;
    flags_in(jit_of(c));
}

/* Nothing on the way of these touches the host's vectors; devices ask. */
static bool is_integer(const struct opcode *row)
{
    return (row->props & (OP_COPY | OP_STACK)) &&
           !(row->props & (OP_SYSTEM | OP_ENDS | OP_STRING | OP_X87 | OP_MMX |
                           OP_SSE | OP_AVX | OP_AVX512));
}

enum jit_result jit_body(struct cpu *c, const struct jit_insn *i)
{
    struct jit_cpu *j = jit_of(c);

    j->stats.bodies++;
    j->stats.body[i->i.op & (JIT_ROWS - 1)]++;
    if (SANITIZED || !is_integer(insn_opcode(&i->i)))
        jit_fp_evict(j);
    enter_insn(c, i);
    c->s.rip = i->next;
    j->stale = false;
    i->i.fn(c, &i->i);
    c->insn = NULL;
    flags_out(j);
    /* What a device or the APIC was told may be an interrupt for us, or has
       changed what is mapped. */
    if (j->stale ||
        atomic_load_explicit(&jit_near(j)->poll, memory_order_relaxed))
        return JIT_EXIT;
    if (i->fp)
        fp_load(j, i->fp);
    return JIT_DONE;
}

const uint8_t *jit_body_end(struct cpu *c, const struct jit_insn *i)
{
    return jit_body(c, i) == JIT_EXIT ? NULL : jit_resume(c);
}

static bool fits_page(gva_t a, unsigned n)
{
    return n <= PAGE_SIZE - (a & ~PAGE_MASK);
}

/* Vector state changes even if the store faults: the body knows how. */
static bool state_first(const struct jit_insn *i)
{
    return i->write && (insn_opcode(&i->i)->props & (OP_FPEXC | OP_MMX));
}

static bool group_filled(struct cpu *c, const struct jit_insn *i, gva_t a)
{
    /* Stores later in the group need what a first load does not bring. */
    return !i->span || !i->group_write ||
           tlb_at(c, a)->write == (a & PAGE_MASK);
}

/*
 * For a group: a is its lowest byte. Its pages are filled as its first access
 * would; where that is not enough (a page crossing, a page that is not
 * writable yet), the block goes on without groups.
 */
enum jit_result jit_slow(struct cpu *c, const struct jit_insn *i, gva_t a)
{
    struct jit_cpu *j = jit_of(c);
    uint8_t live = jit_near(j)->fp_live;

    if (SANITIZED) /* it uses vectors as it likes */
        jit_fp_evict(j);
    j->stats.slow_memory++;
    if (i->masked)
        return jit_body(c, i);
    enter_insn(c, i);
    if (!(a & i->align) && fits_page(a, i->span) && !state_first(i) &&
        mem_try_fill(c, a + (uint64_t)(int64_t)i->at, i->bytes, i->write) &&
        group_filled(c, i, a)) {
        c->insn = NULL;
        fp_load(j, live); /* what the way to a device stored */
        return JIT_RETRY;
    }
    if (i->span) {
        j->stats.group_misses++;
        c->insn = NULL;
        fp_load(j, live);
        return JIT_DONE;
    }
    return jit_body(c, i);
}
