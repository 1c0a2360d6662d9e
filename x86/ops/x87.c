/*
 * x87 (SDM volume 1, chapter 8). Computations are executed by the host
 * (x86/hostvec.h); the control instructions are only loads and stores of the
 * image and are done here.
 *
 * A masked exception is the host instruction's affair. An unmasked one sets
 * ES in the image, and is raised by the next waiting instruction.
 */
#include "x86/flags.h"
#include "x86/fpu.h"
#include "x86/hostvec.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

/* --- pointers to the last instruction --- */
static uint64_t pointer(const struct cpu *c, unsigned seg, uint64_t offset)
{
    if (in_code64(c))
        return offset;
    if (feature_has(&c->model->features, FEAT_ZERO_FCS_FDS))
        return (uint32_t)offset;
    return (uint32_t)offset | (uint64_t)c->s.seg[seg].sel << 32;
}

/*
 * FIP always; FOP, and FDP where the CPU says so (FDP_EXCPTN_ONLY), only when
 * an unmasked exception is recorded. Measured: FOP behaves so on Intel CPUs
 * that have that bit.
 */
static void record(struct cpu *c, const struct insn *i, uint64_t offset)
{
    uint8_t *fx = c->s.fxsave;
    bool error = fpu_sw(fx) & FSW_ES;
    unsigned at = insn_modrm_at(i);

    store_le64(fx + FX_FIP, pointer(c, CS, insn_rip(c, i)));
    if (feature_has(&c->model->features, FEAT_FDP_EXCPTN) && !error)
        return;
    store_le16(fx + FX_FOP, (uint16_t)((i->raw[at - 1] & 7) << 8 | i->raw[at]));
    if (i->flags & INSN_MEM)
        store_le64(fx + FX_FDP, pointer(c, i->seg, offset));
}

/* --- computations --- */
/*
 * With an unmasked invalid operation, overflow or underflow a store does not
 * take place; an inexact result is stored.
 */
static bool stored(const uint8_t *fx)
{
    return !(fpu_sw(fx) & ~fpu_cw(fx) & (FSW_IE | FSW_OE | FSW_UE));
}

static void run(struct cpu *c, const struct insn *i, uint8_t *mem)
{
    struct hostvec *v = c->hostvec;
    uint8_t *fx = c->s.fxsave;
    const struct opcode *row = insn_opcode(i);
    hostvec_stub *stub = hostvec_stub_of(c, i);
    uint64_t fip = load_le64(fx + FX_FIP), fdp = load_le64(fx + FX_FDP);
    uint16_t fop = load_le16(fx + FX_FOP);

    if (unlikely(!stub))
        x86_raise(c, EXC_UD);
    if (row->flags_read)
        v->frame.rflags = flags_get(c);
    store_le32(fx + FX_MXCSR, MXCSR_INIT); /* loaded beside the x87 state */
    stub(fx, mem, &v->frame);
    store_le64(fx + FX_FIP, fip); /* the host's were the stub's */
    store_le64(fx + FX_FDP, fdp);
    store_le16(fx + FX_FOP, fop);
    if (row->flags_written)
        flags_set_status(c, v->frame.rflags & FLAGS_STATUS);
}

/*
 * Operands have 2, 4, 8 or 10 bytes. 80 bits are two accesses, of 8 and 2
 * bytes: at the end of a page or of the address space that shows.
 */
static void load(struct cpu *c, gva_t a, uint8_t *to, unsigned n)
{
    store_le64(to, mem_read(c, a, MIN(n, 8)));
    if (n > 8)
        store_le16(to + 8, (uint16_t)mem_read(c, a + 8, 2));
}

static void store(struct cpu *c, gva_t a, const uint8_t *from, unsigned n)
{
    mem_write(c, a, load_le64(from), MIN(n, 8));
    if (n > 8)
        mem_write(c, a + 8, load_le16(from + 8), 2);
}

/* What is not stored does not fault; half an operand may have been stored when
   it does. Runs on the new state, faults with the old one. */
static COLD void store_with_care(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    struct hostvec *v = c->hostvec;
    uint8_t *fx = c->s.fxsave, old[FX_X87_SIZE];

    memcpy(old, fx, sizeof old);
    run(c, i, v->mem);
    if (!stored(fx))
        return;
    memcpy(v->fx, fx, sizeof old);
    memcpy(fx, old, sizeof old);
    store(c, op_address(c, i, n, true), v->mem, n);
    memcpy(fx, v->fx, sizeof old);
}

/* The write is probed: nothing has changed when it faults. */
static void store_op(struct cpu *c, const struct insn *i)
{
    const unsigned all = FSW_IE | FSW_OE | FSW_UE;
    struct hostvec *v = c->hostvec;
    unsigned n = i->opnd[0].size;
    gva_t a;

    if (unlikely((fpu_cw(c->s.fxsave) & all) != all)) {
        store_with_care(c, i);
        return;
    }
    a = op_address(c, i, n, true);
    if (n > 8 && (a & ~PAGE_MASK) + n > PAGE_SIZE) {
        store_with_care(c, i);
        return;
    }
    mem_probe(c, a, MIN(n, 8), true); /* all of it: it is in one page */
    run(c, i, v->mem);
    store(c, a, v->mem, n);
}

void op_x87(struct cpu *c, const struct insn *i)
{
    struct hostvec *v = c->hostvec;
    uint64_t offset = 0;

    fpu_check_pending(c);
    if (unlikely(!v))
        x86_raise(c, EXC_UD);
    if (i->flags & INSN_MEM) {
        unsigned n = i->opnd[0].size;

        offset = x86_ea(c, i);
        if (insn_opcode(i)->props & OP_WRITES0) {
            store_op(c, i);
        } else {
            load(c, x86_linear(c, i->seg, offset, n, false), v->mem, n);
            run(c, i, v->mem);
        }
    } else {
        run(c, i, v->mem);
    }
    record(c, i, offset);
}

/* --- control --- */
void op_fwait(struct cpu *c, const struct insn *i)
{
    (void)i;
    if ((c->s.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        x86_raise(c, EXC_NM);
    fpu_check_pending(c);
}

void op_fninit(struct cpu *c, const struct insn *i)
{
    (void)i;
    fpu_clear_exceptions(c);
    fpu_init(c->s.fxsave);
}

void op_fnclex(struct cpu *c, const struct insn *i)
{
    (void)i;
    fpu_clear_exceptions(c);
}

void op_fldcw(struct cpu *c, const struct insn *i)
{
    fpu_check_pending(c);
    fpu_set_cw(c->s.fxsave, (unsigned)op_read(c, i, 0));
}

void op_fnstcw(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, fpu_cw(c->s.fxsave));
}

void op_fnstsw(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, fpu_sw(c->s.fxsave));
}

/* --- the environment in memory (SDM volume 1, 8.1.10) --- */
/*
 * Four forms: 16 or 32 bits by operand size; in protected mode pointers are
 * selector and offset, otherwise linear addresses of 20 or 32 bits.
 */
struct pointers {
    uint32_t fip, fdp;
    uint16_t fcs, fds, fop;
};

static unsigned env_bytes(const struct insn *i)
{
    return i->osize == 2 ? 14 : 28;
}

static struct pointers pointers_of(const struct cpu *c)
{
    const uint8_t *fx = c->s.fxsave;
    struct pointers p = {.fip = load_le32(fx + FX_FIP),
                         .fdp = load_le32(fx + FX_FDP),
                         .fop = load_le16(fx + FX_FOP)};

    if (!in_code64(c) && !feature_has(&c->model->features, FEAT_ZERO_FCS_FDS)) {
        p.fcs = load_le16(fx + FX_FIP + 4);
        p.fds = load_le16(fx + FX_FDP + 4);
    }
    return p;
}

static void env16_put(const struct cpu *c, uint8_t *to)
{
    struct pointers p = pointers_of(c);
    const uint8_t *fx = c->s.fxsave;

    store_le16(to, (uint16_t)fpu_cw(fx));
    store_le16(to + 2, (uint16_t)fpu_sw(fx));
    store_le16(to + 4, (uint16_t)fpu_full_tags(fx));
    if (in_protected(c)) {
        store_le16(to + 6, (uint16_t)p.fip);
        store_le16(to + 8, p.fcs);
        store_le16(to + 10, (uint16_t)p.fdp);
        store_le16(to + 12, p.fds);
        return;
    }
    p.fip += p.fcs * 16u;
    p.fdp += p.fds * 16u;
    store_le16(to + 6, (uint16_t)p.fip);
    store_le16(to + 8, (uint16_t)((p.fip >> 4 & 0xf000) | p.fop));
    store_le16(to + 10, (uint16_t)p.fdp);
    store_le16(to + 12, (uint16_t)(p.fdp >> 4 & 0xf000));
}

static void env32_put(const struct cpu *c, uint8_t *to)
{
    struct pointers p = pointers_of(c);
    const uint8_t *fx = c->s.fxsave;

    store_le32(to, 0xffff0000 | fpu_cw(fx));
    store_le32(to + 4, 0xffff0000 | fpu_sw(fx));
    store_le32(to + 8, 0xffff0000 | fpu_full_tags(fx));
    if (in_protected(c)) {
        store_le32(to + 12, p.fip);
        store_le32(to + 16, (uint32_t)p.fop << 16 | p.fcs);
        store_le32(to + 20, p.fdp);
        store_le32(to + 24, 0xffff0000 | p.fds);
        return;
    }
    p.fip += p.fcs * 16u;
    p.fdp += p.fds * 16u;
    store_le32(to + 12, 0xffff0000 | (uint16_t)p.fip);
    store_le32(to + 16, (p.fip >> 16) << 12 | p.fop);
    store_le32(to + 20, 0xffff0000 | (uint16_t)p.fdp);
    store_le32(to + 24, (p.fdp >> 16) << 12);
}

static void env_put(const struct cpu *c, const struct insn *i, uint8_t *to)
{
    if (i->osize == 2)
        env16_put(c, to);
    else
        env32_put(c, to);
}

static struct pointers env_pointers(const struct cpu *c, const struct insn *i,
                                    const uint8_t *from)
{
    uint32_t fip_high = load_le32(from + (i->osize == 2 ? 8 : 16));
    uint32_t fdp_high = load_le32(from + (i->osize == 2 ? 12 : 24));

    if (i->osize == 2 && in_protected(c))
        return (struct pointers){load_le16(from + 6), load_le16(from + 10),
                                 (uint16_t)fip_high, (uint16_t)fdp_high, 0};
    if (i->osize == 2)
        return (struct pointers){load_le16(from + 6) | (fip_high & 0xf000) << 4,
                                 load_le16(from + 10) | (fdp_high & 0xf000)
                                                            << 4,
                                 0, 0, fip_high & FOP_DEFINED};
    if (in_protected(c))
        return (struct pointers){load_le32(from + 12), load_le32(from + 20),
                                 (uint16_t)fip_high, (uint16_t)fdp_high,
                                 fip_high >> 16 & FOP_DEFINED};
    return (struct pointers){
        load_le16(from + 12) | (fip_high >> 12 & 0xffff) << 16,
        load_le16(from + 20) | (fdp_high >> 12 & 0xffff) << 16, 0, 0,
        fip_high & FOP_DEFINED};
}

static void env_take(struct cpu *c, const struct insn *i, const uint8_t *from)
{
    struct pointers p = env_pointers(c, i, from);
    unsigned step = i->osize == 2 ? 2 : 4;
    uint8_t *fx = c->s.fxsave;

    if (in_code64(c) || feature_has(&c->model->features, FEAT_ZERO_FCS_FDS))
        p.fcs = p.fds = 0;
    fpu_set_top(fx, load_le16(from + step) >> FSW_TOP_SHIFT & 7);
    fpu_set_words(fx, load_le16(from), load_le16(from + step));
    fpu_set_full_tags(fx, load_le16(from + 2 * step));
    store_le16(fx + FX_FOP, p.fop);
    store_le64(fx + FX_FIP, p.fip | (uint64_t)p.fcs << 32);
    store_le64(fx + FX_FDP, p.fdp | (uint64_t)p.fds << 32);
}

/* Checked for alignment by the size of its items (SDM table 6-7). */
static gva_t env_address(struct cpu *c, const struct insn *i, unsigned n,
                         bool write)
{
    gva_t a = op_address(c, i, n, write);

    mem_check_alignment(c, a, i->osize == 2 ? 2 : 4);
    return a;
}

void op_fnstenv(struct cpu *c, const struct insn *i)
{
    uint8_t env[32];
    unsigned n = env_bytes(i);

    env_put(c, i, env);
    mem_write_bytes(c, env_address(c, i, n, true), env, n);
    fpu_set_cw(c->s.fxsave, fpu_cw(c->s.fxsave) | FCW_EXCEPTIONS);
}

void op_fldenv(struct cpu *c, const struct insn *i)
{
    uint8_t env[32];
    unsigned n = env_bytes(i);

    fpu_check_pending(c);
    mem_read_bytes(c, env_address(c, i, n, false), env, n);
    env_take(c, i, env);
}

void op_fnsave(struct cpu *c, const struct insn *i)
{
    uint8_t area[112];
    unsigned env = env_bytes(i), n = env + 80;

    env_put(c, i, area);
    for (unsigned r = 0; r < 8; r++)
        memcpy(area + env + 10 * r, c->s.fxsave + FX_ST + 16 * r, 10);
    mem_write_bytes(c, env_address(c, i, n, true), area, n);
    fpu_clear_exceptions(c);
    fpu_init(c->s.fxsave);
}

void op_frstor(struct cpu *c, const struct insn *i)
{
    uint8_t area[112];
    unsigned env = env_bytes(i), n = env + 80;

    fpu_check_pending(c);
    mem_read_bytes(c, env_address(c, i, n, false), area, n);
    env_take(c, i, area);
    for (unsigned r = 0; r < 8; r++) {
        uint8_t *st = c->s.fxsave + FX_ST + 16 * r;

        memcpy(st, area + env + 10 * r, 10);
        memset(st + 10, 0, 6);
    }
}
