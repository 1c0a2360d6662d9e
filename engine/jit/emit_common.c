/* Flags, addresses, the TLB probe: what every instruction is made of. */
#include "engine/jit/translate.h"

unsigned emit_get(struct trans *t, unsigned guest, unsigned scratch)
{
    int h = host_of(guest);

    if (h >= 0)
        return (unsigned)h;
    e_load(t->e, scratch, H_SP, C_OFF(s.gpr) + 8 * (int)guest);
    return scratch;
}

void emit_put(struct trans *t, unsigned guest, unsigned scratch)
{
    e_store(t->e, H_SP, C_OFF(s.gpr) + 8 * (int)guest, scratch);
}

/* --- flags --- */

uint16_t flags_needed(const struct trans *t, const struct insn *i)
{
    uint16_t reads, kills;

    insn_flags(i, &reads, &kills);
    return (uint16_t)(reads | (t->live[t->k] & ~kills));
}

void flags_save(struct trans *t)
{
    struct emit *e = t->e;

    e_mov(e, S0, H_AX);
    e8(e, 0x9f); /* lahf */
    e8(e, 0x0f); /* seto al */
    e8(e, 0x90);
    e8(e, 0xc0);
    e8(e, 0x66); /* mov [flags], ax */
    e_rm(e, false, OP_MOV_STORE, H_AX, H_SP, N_OFF(flags));
    e_mov(e, H_AX, S0);
    t->in_slot = true;
}

void flags_restore(struct trans *t)
{
    struct emit *e = t->e;

    e_mov(e, S0, H_AX);
    e8(e, 0x0f); /* movzx eax, word [flags] */
    e_rm(e, false, 0xb7, H_AX, H_SP, N_OFF(flags));
    e8(e, 0x04); /* add al, 0x7f: OF */
    e8(e, 0x7f);
    e8(e, 0x9e); /* sahf */
    e_mov(e, H_AX, S0);
    t->in_eflags = true;
}

void flags_yield(struct trans *t, uint16_t needed)
{
    if (needed && t->in_eflags && !t->in_slot)
        flags_save(t);
    t->in_eflags = false;
}

/* --- instructions as helpers see them --- */

struct jit_insn *trans_insn(struct trans *t, const struct insn *i)
{
    struct jit_insn *ji = jit_meta_alloc(t->j, sizeof *ji);

    *ji = (struct jit_insn){
        .i = *i, .rip = rip_of(t, i), .next = next_rip(t, i), .fp = t->fp};
    ji->i.pos = 0;
    return ji;
}

/* --- bodies --- */

static bool leaves_vectors(const struct opcode *row)
{
    return (row->props & (OP_COPY | OP_STACK | OP_STRING)) &&
           !(row->props & (OP_SYSTEM | OP_ENDS | OP_X87 | OP_MMX | OP_SSE |
                           OP_AVX | OP_AVX512));
}

void emit_body(struct trans *t, const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);
    uint16_t needed = flags_needed(t, i);
    struct jit_insn *ji;

    settle_rsp(t);
    /* What may change vector control state makes the next user look again. */
    if (!leaves_vectors(row))
        t->fp = 0;
    if (row->props & (OP_SYSTEM | OP_ENDS))
        needed = FLAGS_STATUS;
    group_drop(t);
    flags_yield(t, needed);
    ji = trans_insn(t, i);
    e_mov_imm(t->e, S1, (uint64_t)(uintptr_t)ji);
    if (row->props & OP_ENDS) {
        e_jmp(t->e, t->j->thunk.body_end);
        t->ended = true;
        return;
    }
    e_call(t->e, t->j->thunk.body);
    t->in_eflags = t->in_slot = true;
}

void emit_body_if(struct trans *t, const struct insn *i, unsigned cc)
{
    trans_stub(t, STUB_BODY, e_jcc_forward(t->e, cc))->insn = trans_insn(t, i);
}

void emit_fp_need(struct trans *t, const struct insn *i, unsigned which)
{
    struct emit *e = t->e;

    if (!(which & ~t->fp))
        return;
    group_drop(t);
    flags_yield(t, flags_needed(t, i));
    for (unsigned one = FP_VECTOR; one <= FP_X87; one <<= 1) {
        struct stub *s;

        if (!(which & ~t->fp & one))
            continue;
        e8(e, 0xf6); /* test byte [fp_live], one */
        e_modrm_disp(e, 0, H_SP, N_OFF(fp_live));
        e8(e, one);
        s = trans_stub(t, STUB_FP, e_jcc_forward(e, 4));
        s->insn = trans_insn(t, i);
        s->fp = (uint8_t)one;
        s->back = e->p;
        t->fp |= (uint8_t)one;
    }
}
