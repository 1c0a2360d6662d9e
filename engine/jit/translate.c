/* From the interpreter's decoded block to host code. */
#include "engine/jit/translate.h"
#include "base/libc.h"
#include "x86/ops/ops.h"

struct stub *trans_stub(struct trans *t, enum stub_kind kind, uint8_t *from)
{
    struct stub *s = &t->stub[t->nstubs++];

    *s = (struct stub){.kind = kind, .from = from};
    return s;
}

/* --- flags --- */

static bool is_shift(op_fn body)
{
    static const op_fn shifts[] = {op_shl, op_shr,  op_sar, op_rol,
                                   op_ror, op_shld, op_shrd};

    for (unsigned n = 0; n < ARRAY_LEN(shifts); n++)
        if (shifts[n] == body)
            return true;
    return false;
}

void insn_flags(const struct insn *i, uint16_t *reads, uint16_t *kills)
{
    const struct opcode *row = insn_opcode(i);

    *reads = row->flags_read & FLAGS_STATUS;
    *kills = (row->flags_written | row->flags_undefined) & FLAGS_STATUS;
    if (!is_shift(row->body))
        return;
    /* A count of zero leaves all flags; another needs none of the old. */
    if (i->imm_len && (i->imm & (i->osize == 8 ? 63 : 31)))
        *reads = 0;
    else
        *kills = 0;
    /* Undefined, but by constants CPUs leave it alone. */
    if (row->body == op_rol || row->body == op_ror)
        *kills &= (uint16_t)~FLAG_OF;
}

static bool is_opaque(const struct trans *t, const struct insn *i)
{
    return (insn_opcode(i)->props & OP_SYSTEM) && !is_segment_load(t, i);
}

/* Is it the last of what is translated as one? */
static bool ends(const struct trans *t, const struct insn *i)
{
    return (insn_opcode(i)->props & OP_ENDS) && !is_conditional(i) &&
           !is_segment_load(t, i);
}

enum { LOOK_AHEAD = 16, LOOK_BRANCHES = 2 };

/* Decodes at a, on the block's page; false: nothing that can be followed. */
static bool look_at(struct trans *t, gpa_t a, struct insn *i)
{
    struct jit_cpu *cpu = t->cpu;
    unsigned bytes = MIN(PAGE_SIZE - (unsigned)(a & ~PAGE_MASK), 15);

    if (code_pages_claim(cpu->ic.pages, t->guest_page, cpu->ic.cpu.vcpu, a,
                         bytes))
        tlb_forget_writes(&cpu->ic.cpu, a & PAGE_MASK);
    if (x86_decode(i, t->page + (a & ~PAGE_MASK), bytes,
                   block_decode_mode(t->mode)) != DECODE_OK ||
        is_opaque(t, i))
        return false;
    return true;
}

/*
 * Flags that code at rip may read before it sets them: by decoding what
 * follows on the same page, which is claimed, so that a change of it drops
 * this block too. branches: how many more ways to follow.
 */
static uint16_t live_at(struct trans *t, uint64_t rip, unsigned branches)
{
    uint16_t live = 0, dead = 0;

    for (unsigned n = 0; n < LOOK_AHEAD && dead != FLAGS_STATUS; n++) {
        gpa_t a =
            (t->b->gpa & PAGE_MASK) | (fetch_address(t, rip) & ~PAGE_MASK);
        uint16_t reads, kills;
        struct insn i;
        op_fn body;

        if (!is_on_page(t, rip) || !look_at(t, a, &i))
            break;
        insn_flags(&i, &reads, &kills);
        live |= reads & ~dead;
        dead |= kills;
        body = insn_opcode(&i)->body;
        rip = as_rip(t, rip + i.len);
        if (is_conditional(&i) && branches)
            live |= live_at(t, branch_target(t, &i, rip), branches - 1) & ~dead;
        else if (body == op_jmp)
            rip = branch_target(t, &i, rip);
        else if (is_conditional(&i) || ends(t, &i))
            break;
    }
    return (uint16_t)(live | (FLAGS_STATUS & ~dead));
}

static uint16_t live_out(struct trans *t)
{
    const struct insn *last = &t->insn[t->n - 1];
    op_fn body = insn_opcode(last)->body;
    uint64_t next = next_rip(t, last);

    if (body == op_jmp || body == op_call)
        return live_at(t, branch_target(t, last, next), LOOK_BRANCHES);
    if (ends(t, last))
        return FLAGS_STATUS;
    return live_at(t, next, LOOK_BRANCHES);
}

static void all_live(struct trans *t)
{
    t->live_end = FLAGS_STATUS;
    for (unsigned k = 0; k < t->n; k++)
        t->live[k] = t->live_taken[k] = FLAGS_STATUS;
}

static void find_live(struct trans *t)
{
    uint16_t live;

    if (t->careful) {
        all_live(t);
        return;
    }
    live = live_out(t);
    t->live_end = live;
    for (unsigned k = t->n; k-- > 0;) {
        const struct insn *i = &t->insn[k];
        uint16_t reads, kills;

        if (is_conditional(i)) {
            t->live_taken[k] =
                live_at(t,
                        is_turn(t, k) ? next_rip(t, i)
                                      : branch_target(t, i, next_rip(t, i)),
                        LOOK_BRANCHES);
            live |= t->live_taken[k];
        }
        t->live[k] = live;
        insn_flags(i, &reads, &kills);
        if (is_opaque(t, i))
            live = FLAGS_STATUS;
        else
            live = (uint16_t)((live & ~kills) | reads);
    }
}

/* --- out-of-line parts --- */

static void retarget(struct trans *t, uint8_t *from)
{
    store_le32(from - 4, (uint32_t)(t->e->p - from));
}

static struct jit_link *more_link(struct trans *t)
{
    struct jit_link *l = jit_meta_alloc(t->j, sizeof *l);

    *l = (struct jit_link){.from = t->b, .sibling = t->b->more};
    t->b->more = l;
    return l;
}

/* For one more branch out of the block. */
struct jit_link *trans_link(struct trans *t)
{
    struct jit_link *l;

    if (t->nout == ARRAY_LEN(t->b->out))
        return more_link(t);
    l = &t->b->out[t->nout++];
    l->from = t->b;
    return l;
}

/* A group whose accesses are not on one page: on to the block without. */
static void emit_alone(struct trans *t, const struct stub *s)
{
    struct emit *e = t->e;
    struct jit_link *l = more_link(t);

    l->mode = t->mode & ~MODE_ALONE;
    l->target = s->insn->rip;
    l->same_page = l->alone = true;
    align_patch(e, 1);
    e_jmp_forward(e);
    l->patch = e->p - 4;
    store_le32(l->patch, 0); /* the next instruction */
    l->stub = emit_here(e);
    e_mov_imm(e, S0, l->target);
    e_mov_imm(e, S1, (uint64_t)(uintptr_t)l);
    e_jmp(e, t->j->thunk.exit_link);
}

/* Jumps over what follows if S0 + span is beyond the page, or S0 misaligned. */
struct astray {
    uint8_t *beyond, *misaligned;
};

static struct astray if_astray(struct emit *e, unsigned span, unsigned align)
{
    struct astray go = {0};

    if (align) {
        e_rex(e, false, 0, 0, S0); /* test S0, align */
        e8(e, 0xf7);
        e8(e, 0xc0 | (S0 & 7));
        e32(e, align);
        go.misaligned = e_jcc_forward(e, 5);
    }
    e_mov(e, S1, S0);
    e_alu_imm(e, false, ALU_AND, S1, (int32_t)~PAGE_MASK);
    e_alu_imm(e, false, ALU_CMP, S1, (int32_t)(PAGE_SIZE - span));
    go.beyond = e_jcc_forward(e, 7);
    return go;
}

static void bind_astray(struct emit *e, const struct astray *go)
{
    e_bind(e, go->beyond);
    if (go->misaligned)
        e_bind(e, go->misaligned);
}

/* Another page of the stack. */
static void emit_stack_missed(struct trans *t, const struct stub *s)
{
    struct emit *e = t->e;
    struct astray go;
    uint8_t *missed;

    emit_linear(t, &s->access, s->group_lo, S0);
    go = if_astray(e, s->extent.span, s->extent.align);
    e_call(e, t->j->thunk.stack[t->mode >> 24 & 3][s->extent.write]);
    missed = e_jcc_forward(e, 5);
    e_jmp(e, s->hit);
    bind_astray(e, &go);
    e_bind(e, missed);
}

static void emit_missed(struct trans *t, const struct stub *s)
{
    struct emit *e = t->e;
    unsigned span = s->insn->span;
    struct astray go;

    emit_linear(t, &s->access, s->group_lo, S0);
    if (span)
        go = if_astray(e, span, s->insn->align);
    e_mov_imm(e, S1, (uint64_t)(uintptr_t)s->insn);
    e_call(e, t->j->thunk.slow);
    e_jmp(e, s->retry);
    if (!span) {
        e_jmp(e, s->access.ends ? t->j->thunk.resume : s->back + e->to_rx);
        return;
    }
    bind_astray(e, &go);
    emit_alone(t, s);
}

static void emit_unlinked(struct trans *t, const struct stub *s)
{
    struct emit *e = t->e;

    s->link->stub = emit_here(e);
    e_mov_imm(e, S0, s->target);
    e_mov_imm(e, S1, (uint64_t)(uintptr_t)s->link);
    e_jmp(e, t->j->thunk.exit_link);
}

static void emit_stub(struct trans *t, struct stub *s)
{
    struct emit *e = t->e;

    retarget(t, s->from);
    switch (s->kind) {
    case STUB_STACK: emit_stack_missed(t, s); /* fall through */
    case STUB_MEMORY: emit_missed(t, s); break;
    case STUB_ALONE: emit_alone(t, s); break;
    case STUB_BODY:
        e_mov_imm(e, S1, (uint64_t)(uintptr_t)s->insn);
        e_call(e, t->j->thunk.body);
        e_jmp(e, s->back + e->to_rx);
        break;
    case STUB_BODY_END:
        e_mov_imm(e, S1, (uint64_t)(uintptr_t)s->insn);
        e_jmp(e, t->j->thunk.body_end);
        break;
    case STUB_FP:
        e_mov_imm(e, S1, (uint64_t)(uintptr_t)s->insn);
        e_call(e, t->j->thunk.fp_need[s->fp]);
        e_jmp(e, s->back + e->to_rx);
        break;
    case STUB_SAVE:
        flags_save(t);
        align_patch(e, 1);
        e_jmp_forward(e);
        s->link->patch = e->p - 4;
        store_le32(s->link->patch, 0); /* the next instruction */
        emit_unlinked(t, s);
        break;
    case STUB_LINK: emit_unlinked(t, s); break;
    case STUB_MISSED:
        e_mov_imm(e, S0, s->target);
        e_mov_imm(e, S2, 0);
        e_jmp(e, t->j->thunk.missed);
        break;
    case STUB_LEAVE:
        e_mov_imm(e, S0, s->target);
        e_jmp(e, t->j->thunk.exit_s0);
        break;
    }
}

/* --- the block --- */

static void check_page(struct trans *t, unsigned n)
{
    e_cmp_mem8(t->e, H_SP, J_OFF(maps) + (int)t->b->map_id[n], 0);
    trans_stub(t, STUB_MISSED, e_jcc_forward(t->e, 4))->target = t->rip;
}

/* Is it for this RIP that an indirect branch came here? */
static void check_rip(struct trans *t)
{
    struct emit *e = t->e;

    if (fits32((int64_t)t->rip)) {
        e_rex(e, true, 0, 0, S0); /* cmp S0, imm32 */
        e8(e, 0x81);
        e8(e, 0xc0 | ALU_CMP << 3 | (S0 & 7));
        e32(e, (uint32_t)t->rip);
    } else {
        e_mov_imm(e, S1, t->rip);
        e_rr(e, true, 0x39, S1, S0);
    }
    e_jcc(e, 5, t->j->thunk.missed);
}

/* Likewise: for this mode, and this place of CS? */
static void check_mode(struct trans *t)
{
    const void *missed = t->j->thunk.missed;
    struct emit *e = t->e;

    e_cmp_mem32(e, H_SP, base_of_segment(CS), (int32_t)t->b->cs);
    e_jcc(e, 5, missed);
    e_cmp_mem32(e, H_SP, C_OFF(s.seg[CS].limit), (int32_t)code_limit(t));
    e_jcc(e, 5, missed);
    e_cmp_mem32(e, H_SP, C_OFF(mode_key), (int32_t)(t->mode & 0xffffff));
    e_jcc(e, 5, missed);
    e_cmp_mem8(e, H_SP, C_OFF(tlb_mode), t->mode >> 24 & 3);
    e_jcc(e, 5, missed);
}

/* The entries for indirect branches, and for jumps from other pages. */
static void emit_checks(struct trans *t)
{
    t->b->indirect = emit_here(t->e);
    check_rip(t);
    if (jit_is_odd(t->mode))
        check_mode(t);
    t->b->checked = emit_here(t->e);
    check_page(t, 0);
}

/*
 * Does an indirect branch come here? A guess: to where a function may begin,
 * and where a call before it returns to.
 */
static bool is_target(const struct trans *t)
{
    unsigned at = (unsigned)(t->b->gpa & ~PAGE_MASK);
    const uint8_t *p = t->page + at;

    if (at < 6 || !(t->rip & 15))
        return true;
    return p[-5] == 0xe8 || (p[-6] == 0xff && p[-5] == 0x15) ||
           (p[-2] == 0xff && (p[-1] & 0x38) == 0x10) ||
           (p[-3] == 0xff && (p[-2] & 0xf8) == 0x50);
}

/* With the checks where they are used, else out of the way. */
static void emit_entry(struct trans *t)
{
    bool target = is_target(t);

    if (target)
        emit_checks(t);
    t->b->code = emit_here(t->e);
    if (t->b->npages > 1)
        check_page(t, 1);
    if (target)
        return;
    t->e = &t->j->cold;
    emit_checks(t);
    e_jmp(t->e, t->b->code);
    t->e = &t->j->e;
}

static void emit_insn(struct trans *t, const struct insn *i)
{
    unsigned first = t->nstubs;

    if (interp_raises(i->fn) ||
        (!emit_special(t, i) && !emit_copy(t, i) && !emit_system(t, i))) {
        emit_body(t, i);
    }
    group_after(t, i);
    for (unsigned n = first; n < t->nstubs; n++)
        if (!t->stub[n].back)
            t->stub[n].back = t->e->p;
}

static void add_insns(struct trans *t, const struct block *ib)
{
    for (unsigned k = 0; k < ib->n; k++) {
        t->insn[t->n] = ib->insn[k];
        t->insn[t->n++].pos += (uint16_t)t->len; /* modulo 2^16 */
    }
    t->len += ib->len;
}

/* Is what follows, up to that block's end, inside CS? */
static bool is_inside(const struct trans *t, const struct block *ib)
{
    uint64_t end = t->rip + (uint64_t)(int)t->len + ib->len;

    return !jit_is_segmented(t->mode) || end - 1 <= code_limit(t);
}

bool block_is_loop(const struct block *ib)
{
    const struct insn *last = &ib->insn[ib->n - 1];

    return ib->n <= UNROLL_INSNS / 2 && insn_opcode(last)->body == op_jcc &&
           (int64_t)last->imm == -(int64_t)ib->len;
}

/* Several of its turns follow each other and share checks. */
static void unroll(struct trans *t)
{
    unsigned turn = t->n;

    t->turn = turn;
    while (t->n + turn <= UNROLL_INSNS)
        for (unsigned k = 0; k < turn; k++)
            t->insn[t->n++] = t->insn[k];
}

static bool has_insn_at(const struct trans *t, uint64_t rip)
{
    for (unsigned k = 0; k < t->n; k++)
        if (rip_of(t, &t->insn[k]) == rip)
            return true;
    return false;
}

/* What runs after ib, which is t's end, if that is known to be on its page. */
static const struct block *block_next(struct trans *t, const struct block *ib)
{
    const struct insn *last = &t->insn[t->n - 1];
    struct cpu *c = &t->cpu->ic.cpu;
    uint64_t target;

    if (!ends(t, last))
        return block_beside(c, ib, ib->gpa + ib->len);
    if (!t->wide || insn_opcode(last)->body != op_jmp)
        return NULL;
    target = branch_target(t, last, next_rip(t, last));
    if (!is_on_page(t, target) || has_insn_at(t, target))
        return NULL;
    t->len = (unsigned)(target - t->rip);
    return block_beside(c, ib, (ib->gpa & PAGE_MASK) | (target & ~PAGE_MASK));
}

static void gather(struct trans *t, const struct block *ib)
{
    if (block_is_loop(ib) && !t->careful && !(t->mode & MODE_ALONE) &&
        is_inside(t, ib)) {
        add_insns(t, ib);
        unroll(t);
        return;
    }
    while (ib && t->n + ib->n <= TRACE_INSNS && is_inside(t, ib)) {
        add_insns(t, ib);
        ib = block_next(t, ib);
    }
}

static struct jit_block *new_block(const struct trans *t,
                                   const struct block *ib)
{
    struct jit_block *b = jit_meta_alloc(t->j, sizeof *b);
    const gpa_t page[] = {ib->gpa & PAGE_MASK, ib->gpa2};

    *b = (struct jit_block){.gpa = ib->gpa,
                            .rip = t->rip,
                            .cs = jit_cs(&t->cpu->ic.cpu),
                            .mode = t->mode,
                            .npages = ib->gpa2 == NO_PAGE ? 1 : 2};
    for (unsigned n = 0; n < b->npages; n++) {
        b->pages[n].page = page[n];
        b->map_id[n] = jit_map_id(t->j, jit_block_page(b, n), page[n],
                                  t->cpu->ic.cpu.s.cpl == 3);
    }
    return b;
}

/* Is the stack's top on the page of the code at s.rip? */
static bool stack_is_near(const struct cpu *c)
{
    uint64_t sp = c->s.gpr[RSP];

    if (!in_code64(c))
        sp = (uint32_t)(c->s.seg[SS].base +
                        (c->mode_key & MODE_SS32 ? sp : (uint16_t)sp));
    return !((sp ^ x86_fetch_address(c, c->s.rip)) & PAGE_MASK);
}

struct jit_block *jit_translate(struct jit_cpu *cpu, struct block *ib,
                                const uint8_t *page, uint64_t rip,
                                uint32_t mode)
{
    struct jit *j = cpu->jit;
    struct trans t;

    memset(&t, 0, offsetof(struct trans, insn));
    t.j = j;
    t.e = &j->e;
    t.guest_page = ib->page;
    /* It has changed itself, or what it pushes may. */
    t.careful = jit_is_careful(j, ib->gpa) || stack_is_near(&cpu->ic.cpu);
    t.rip = rip;
    t.cpu = cpu;
    t.page = page;
    t.mode = mode;
    t.wide = mode & MODE_CODE64;
    t.stack = t.wide ? 8 : mode & MODE_SS32 ? 4 : 2;
    t.b = new_block(&t, ib);
    t.next_mode = mode & ~MODE_ALONE; /* its successors are ordinary */
    gather(&t, ib);
    t.uses_stack = uses_stack(&t);
    find_live(&t);
    t.in_slot = true;
    emit_entry(&t);
    for (t.k = 0; t.k < t.n && !t.ended; t.k++)
        emit_insn(&t, &t.insn[t.k]);
    if (!t.ended) {
        t.k = t.n - 1;
        emit_fallthrough(&t, as_rip(&t, rip + (uint64_t)(int)t.len));
    }
    t.e = &j->cold;
    for (unsigned n = 0; n < t.nstubs; n++)
        emit_stub(&t, &t.stub[n]);
    cpu->stats.translations++;
    cpu->stats.translations_16 += !(mode & MODE_CODE);
    cpu->stats.translations_32 += (mode & MODE_CODE) == MODE_CODE32;
    jit_insert(j, t.b);
    return t.b;
}
