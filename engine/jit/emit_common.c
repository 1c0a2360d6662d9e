/* Flags, addresses, the TLB probe: what every instruction is made of. */
#include "engine/jit/translate.h"

int host_of(unsigned guest)
{
    if (guest == RSP)
        return GUEST_RSP;
    return guest < R12 ? (int)guest : -1;
}

unsigned emit_get(struct trans *t, unsigned guest, unsigned scratch)
{
    int h = host_of(guest);

    if (h >= 0)
        return (unsigned)h;
    e_load(t->e, scratch, H_SP, C_OFF(s.gpr) + 8 * (int)guest);
    return scratch;
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

    e_mov(e, S2, H_AX);
    e8(e, 0x9f); /* lahf */
    e8(e, 0x0f); /* seto al */
    e8(e, 0x90);
    e8(e, 0xc0);
    e8(e, 0x66); /* mov [flags], ax */
    e_rm(e, false, OP_MOV_STORE, H_AX, H_SP, J_OFF(flags));
    e_mov(e, H_AX, S2);
    t->in_slot = true;
}

void flags_restore(struct trans *t)
{
    struct emit *e = t->e;

    e_mov(e, S2, H_AX);
    e8(e, 0x0f); /* movzx eax, word [flags] */
    e_rm(e, false, 0xb7, H_AX, H_SP, J_OFF(flags));
    e8(e, 0x04); /* add al, 0x7f: OF */
    e8(e, 0x7f);
    e8(e, 0x9e); /* sahf */
    e_mov(e, H_AX, S2);
    t->in_eflags = true;
}

void flags_yield(struct trans *t, uint16_t needed)
{
    if (needed && t->in_eflags && !t->in_slot)
        flags_save(t);
    t->in_eflags = false;
}

/* --- instructions as helpers see them --- */

struct jit_insn *trans_insn(struct trans *t, const struct insn *i,
                            unsigned bytes, bool write, unsigned align)
{
    struct jit_insn *ji = jit_meta_alloc(t->j, sizeof *ji);

    *ji = (struct jit_insn){.i = *i, .rip = t->rip + i->pos,
                            .next = next_rip(t, i), .bytes = (uint8_t)bytes,
                            .write = write, .align = (uint8_t)align,
                            .fp = t->fp};
    ji->i.pos = 0;
    return ji;
}

/* --- memory --- */

static void add_segment_base(struct trans *t, const struct insn *i)
{
    if (i->seg < FS)
        return;
    e_load(t->e, S1, H_SP,
           C_OFF(s.seg) + (int)sizeof(struct x86_seg) * i->seg +
               (int)offsetof(struct x86_seg, base));
    e_rx(t->e, true, OP_LEA_R, S0, S0, S1, 0, 0);
}

/* S0 = the linear address of i's memory operand. Clobbers S1. */
static void emit_offset(struct trans *t, const struct insn *i)
{
    struct emit *e = t->e;
    bool wide = i->asize == 8;
    unsigned base, index;

    if (i->base == REG_RIP || (i->base == REG_NONE && i->index == REG_NONE)) {
        uint64_t a = (uint64_t)(int64_t)i->disp;

        if (i->base == REG_RIP)
            a += next_rip(t, i);
        else if (i->imm_len > 4)
            a = i->imm;
        e_mov_imm(e, S0, wide ? a : (uint32_t)a);
        return;
    }
    if (i->index == REG_NONE) {
        base = emit_get(t, i->base, S0);
        if (i->disp || base == S0 || !wide)
            e_rm(e, wide, OP_LEA_R, S0, base, i->disp);
        else
            e_mov(e, S0, base);
        return;
    }
    index = emit_get(t, i->index, S1);
    if (i->base == REG_NONE) {
        /* [index * scale + disp32] */
        e_rex(e, wide, S0, index, 0);
        e8(e, OP_LEA_R);
        e8(e, (S0 & 7) << 3 | 4);
        e8(e, (unsigned)i->scale << 6 | (index & 7) << 3 | 5);
        e32(e, (uint32_t)i->disp);
        return;
    }
    base = emit_get(t, i->base, S0);
    e_rx(e, wide, OP_LEA_R, S0, base, index, i->scale, i->disp);
}

void emit_ea(struct trans *t, const struct insn *i)
{
    emit_offset(t, i);
    add_segment_base(t, i);
}

void emit_probe(struct trans *t, const struct jit_insn *ji, bool ends)
{
    struct emit *e = t->e;
    unsigned mode = t->mode >> 24 & 3;
    int32_t tlb = C_OFF(tlbs) + (int)(mode * sizeof(struct tlb_entry) *
                                      TLB_SIZE);
    int32_t tag = ji->write ? (int)offsetof(struct tlb_entry, write)
                            : (int)offsetof(struct tlb_entry, read);
    const uint8_t *retry = emit_here(e);
    struct stub *s;

    e_rorx(e, S1, S0, PAGE_SHIFT - 5);
    e_alu_imm(e, false, ALU_AND, S1, (TLB_SIZE - 1) << 5);
    if (ji->align || ji->bytes == 1) {
        e_mov(e, S2, S0);
        e_alu_imm(e, true, ALU_AND, S2, (int32_t)(-4096 | ji->align));
    } else {
        e_rm(e, true, OP_LEA_R, S2, S0, ji->bytes - 1);
        e_alu_imm(e, true, ALU_AND, S2, -4096);
    }
    e_rx(e, true, 0x3b, S2, H_SP, S1, 0, tlb + tag);
    s = trans_stub(t, STUB_MEMORY, e_jcc_forward(e, 5));
    e_rx(e, true, 0x03, S0, H_SP, S1, 0,
         tlb + (int)offsetof(struct tlb_entry, addend));
    s->retry = retry;
    s->insn = ji;
    s->ends = ends;
    t->in_eflags = false;
}

/* --- bodies --- */

void emit_body(struct trans *t, const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);
    uint16_t needed = flags_needed(t, i);
    struct jit_insn *ji;

    /* What changes vector control state makes the next user look again. */
    if (row->props & (OP_SYSTEM | OP_ENDS | OP_X87 | OP_SSE))
        t->fp = 0;
    if (row->props & (OP_SYSTEM | OP_ENDS))
        needed = FLAGS_STATUS;
    flags_yield(t, needed);
    ji = trans_insn(t, i, 0, false, 0);
    e_mov_imm(t->e, S1, (uint64_t)(uintptr_t)ji);
    e_call(t->e, t->j->thunk.body);
    t->in_eflags = t->in_slot = true;
}

void emit_fp_need(struct trans *t, const struct insn *i, unsigned which)
{
    struct emit *e = t->e;
    uint8_t *ok;

    if (!(which & ~t->fp))
        return;
    flags_yield(t, flags_needed(t, i));
    /* The thunk loads all of which: live ones cost it nothing. */
    which &= ~(unsigned)t->fp;
    /* movzx S1, byte [fp_live] */
    e_rex(e, false, S1, 0, H_SP);
    e8(e, 0x0f);
    e8(e, 0xb6);
    e_modrm_disp(e, S1, H_SP, J_OFF(fp_live));
    e_alu_imm(e, false, ALU_AND, S1, (int32_t)which);
    e_alu_imm(e, false, ALU_CMP, S1, (int32_t)which);
    ok = e_jcc_forward(e, 4);
    e_mov_imm(e, S1, (uint64_t)(uintptr_t)trans_insn(t, i, 0, false, 0));
    e_call(e, t->j->thunk.fp_need[which]);
    e_bind(e, ok);
    t->fp |= (uint8_t)which;
}
