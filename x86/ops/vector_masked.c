/*
 * Vector instructions whose memory operand is accessed by element: under a
 * mask, through a vector index, or packed. Elements masked off are not
 * accessed and cannot fault (SDM volume 1, 15.6.4; volume 2, "Fault
 * suppression").
 */
#include "x86/ops/vector.h"

#include "x86/opspec.h"

/* --- parts of an operand: a bit for each of its bytes --- */
/* count elements of n bytes, those whose bit in mask is set. */
static uint64_t bytes_of_elements(uint64_t mask, unsigned count, unsigned n)
{
    uint64_t bytes = 0;

    mask &= mask_low(count);
    for (; mask; mask &= mask - 1)
        bytes |= mask_low(n) << (unsigned)__builtin_ctzll(mask) * n;
    return bytes;
}

/* The first run of set bits, taken out of *bytes. */
static bool next_run(uint64_t *bytes, unsigned *start, unsigned *n)
{
    uint64_t rest;

    if (!*bytes)
        return false;
    *start = (unsigned)__builtin_ctzll(*bytes);
    rest = ~(*bytes >> *start);
    *n = rest ? (unsigned)__builtin_ctzll(rest) : 64;
    *bytes &= ~(mask_low(*n) << *start);
    return true;
}

/*
 * What is beyond the last address of the address size does not begin at 0
 * again: it is one operand, whatever of it the mask leaves (as measured).
 */
static gva_t part_address(struct cpu *c, const struct insn *i, uint64_t ea,
                          unsigned n, bool write)
{
    return x86_linear(c, i->seg, ea, n, write);
}

static void check_addresses(struct cpu *c, const struct insn *i, uint64_t ea,
                            uint64_t bytes, bool write)
{
    unsigned start, n;

    while (next_run(&bytes, &start, &n))
        if (c->mode_key & MODE_CODE64) /* flat, but for canonical addresses */
            x86_linear_checked(c, i->seg, ea + start, n, write);
        else
            part_address(c, i, ea + start, n, write);
}

/*
 * Where there are several parts, all addresses are checked before any access:
 * #GP of the last goes before #PF of the first. A single run of bits is
 * checked as it is accessed.
 */
static void check_parts(struct cpu *c, const struct insn *i, uint64_t ea,
                        uint64_t bytes, bool write)
{
    if (bytes & (bytes + (bytes & -bytes)))
        check_addresses(c, i, ea, bytes, write);
}

static void read_parts(struct cpu *c, const struct insn *i, uint8_t *to,
                       uint64_t bytes)
{
    static const uint8_t zero[HOSTVEC_MEM];
    uint64_t ea = x86_ea(c, i);
    unsigned start, n;

    memcpy(to, zero, HOSTVEC_MEM);
    check_parts(c, i, ea, bytes, false);
    while (next_run(&bytes, &start, &n))
        mem_read_bytes(c, part_address(c, i, ea + start, n, false), to + start,
                       n);
}

static void write_parts(struct cpu *c, const struct insn *i,
                        const uint8_t *from, uint64_t bytes)
{
    uint64_t ea = x86_ea(c, i), all = bytes;
    unsigned start, n;

    check_parts(c, i, ea, bytes, true);
    while (next_run(&all, &start, &n))
        mem_probe_bytes(c, part_address(c, i, ea + start, n, true), n, true);
    while (next_run(&bytes, &start, &n))
        mem_write_bytes(c, part_address(c, i, ea + start, n, true),
                        from + start, n);
}

/* --- elements of registers --- */
static uint64_t element(const uint8_t *reg, unsigned k, unsigned n)
{
    return load_le(reg + k * n, n);
}

/* Elements whose top bit is set, as a mask. */
static uint64_t sign_mask(const uint8_t *reg, unsigned count, unsigned n)
{
    uint64_t mask = 0;

    for (unsigned k = 0; k < count; k++)
        mask |= (uint64_t)(reg[k * n + n - 1] >> 7) << k;
    return mask;
}

/*
 * --- MASKMOVDQU, MASKMOVQ, VMASKMOVDQU: bytes, by the top bits of the second
 * operand ---
 */
static bool is_maskmov_bytes(const struct insn *i)
{
    return insn_opcode(i)->map == MAP_0F && i->code == 0xf7;
}

static void maskmov_bytes(struct cpu *c, const struct insn *i)
{
    unsigned from = i->opnd[0].reg, mask = i->opnd[1].reg;
    bool mmx = i->opnd[0].kind == OPND_MMX;
    unsigned n = mmx ? 8 : 16;
    uint8_t *fx = c->s.fxsave;
    gva_t to;

    if (mmx) {
        fpu_check_pending(c);
        mmx_enter(fx);
    }
    /* As CPUs have it: all must be writable and each half aligned, the upper
       one first. */
    to = op_address(c, i, n, true);
    if (!mmx)
        mem_probe(c, to + 8, 8, true);
    mem_probe(c, to, 8, true);
    if (mmx)
        write_parts(c, i, fx + FX_ST + 16 * from,
                    sign_mask(fx + FX_ST + 16 * mask, n, 1));
    else
        write_parts(c, i, c->s.zmm[from], sign_mask(c->s.zmm[mask], n, 1));
}

/* --- VMASKMOVPS, VPMASKMOVD and so on: by the top bits of vvvv --- */
static void maskmov(struct cpu *c, const struct insn *i)
{
    struct hostvec *v = c->hostvec;
    bool store = i->opnd[0].kind == OPND_MEM;
    bool wide = i->code >= 0x80 ? i->flags & INSN_REXW : i->code & 1;
    unsigned n = wide ? 8 : 4, count = i->vl / n;
    uint64_t mask = sign_mask(c->s.zmm[i->opnd[1].reg], count, n);
    uint64_t bytes = bytes_of_elements(mask, count, n);

    if (store) {
        write_parts(c, i, c->s.zmm[i->opnd[2].reg], bytes);
        return;
    }
    read_parts(c, i, v->mem, bytes);
    memcpy(c->s.zmm[i->opnd[0].reg], v->mem, HOSTVEC_MEM);
}

/* --- gather and scatter --- */
struct indexed {
    unsigned count;
    unsigned data, index; /* bytes an element */
    uint64_t base;
    const uint8_t *indexes;
};

static struct indexed indexed_of(const struct cpu *c, const struct insn *i)
{
    bool wide = i->flags & INSN_REXW;
    struct indexed x = {.data = wide ? 8 : 4, .index = i->code & 1 ? 8 : 4};

    x.count = i->vl / MAX(x.data, x.index);
    x.base = (uint64_t)(int64_t)i->disp;
    if (i->base < 16)
        x.base += c->s.gpr[i->base];
    x.indexes = c->s.zmm[i->index & 31];
    return x;
}

static gva_t indexed_address(struct cpu *c, const struct insn *i,
                             const struct indexed *x, unsigned k, bool write)
{
    uint64_t n = element(x->indexes, k, x->index);

    if (x->index == 4)
        n = (uint64_t)sign_extend(n, 32);
    return part_address(c, i, x->base + (n << i->scale), x->data, write);
}

/* All ones for each of count elements in mask, zero for the others and above.
 */
static void expand_mask(uint8_t *reg, uint64_t mask, unsigned count, unsigned n)
{
    memset(reg, 0, 64);
    for (unsigned k = 0; k < count; k++)
        if (mask >> k & 1)
            memset(reg + k * n, 0xff, n);
}

/*
 * Each element is done for good before the next is begun: after a fault the
 * mask says what is left to do. A VEX mask is made of whole elements before,
 * and with the first element goes what is above the vector.
 */
static void gather(struct cpu *c, const struct insn *i)
{
    struct indexed x = indexed_of(c, i);
    uint8_t *to = c->s.zmm[i->opnd[0].reg];
    bool evex = insn_encoding(i) == ENC_EVEX;
    uint64_t *k_mask = &c->s.k[i->evex & 7];
    uint8_t *v_mask = evex ? NULL : c->s.zmm[i->opnd[2].reg];
    unsigned whole = i->vl / x.data;
    uint64_t mask = evex ? *k_mask : sign_mask(v_mask, whole, x.data);

    if (!evex)
        expand_mask(v_mask, mask, whole, x.data);
    for (unsigned k = 0; k < x.count; k++) {
        uint8_t v[8];

        if (!(mask >> k & 1))
            continue;
        mem_read_bytes(c, indexed_address(c, i, &x, k, false), v, x.data);
        memcpy(to + k * x.data, v, x.data);
        memset(to + i->vl, 0, 64 - i->vl);
        if (evex)
            *k_mask &= ~BIT64(k);
        else
            memset(v_mask + k * x.data, 0, x.data);
    }
    memset(to + x.count * x.data, 0, 64 - x.count * x.data);
    if (evex)
        *k_mask = 0;
    else
        memset(v_mask, 0, 64);
}

static void scatter(struct cpu *c, const struct insn *i)
{
    struct indexed x = indexed_of(c, i);
    const uint8_t *from = c->s.zmm[i->opnd[1].reg];
    uint64_t *mask = &c->s.k[i->evex & 7];

    for (unsigned k = 0; k < x.count; k++) {
        if (!(*mask >> k & 1))
            continue;
        mem_write_bytes(c, indexed_address(c, i, &x, k, true),
                        from + k * x.data, x.data);
        *mask &= ~BIT64(k);
    }
    *mask = 0;
}

/* --- compress and expand: the selected elements, packed in memory --- */
static bool is_packed(const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);

    if (row->map != MAP_0F38 || insn_encoding(i) != ENC_EVEX)
        return false;
    return i->code == 0x62 || i->code == 0x63 ||
           (i->code >= 0x88 && i->code <= 0x8b);
}

static void packed(struct cpu *c, const struct insn *i)
{
    struct hostvec *v = c->hostvec;
    bool wide = i->flags & INSN_REXW;
    unsigned n = i->code < 0x80 ? (wide ? 2 : 1) : wide ? 8 : 4;
    unsigned k = vector_opmask(i);
    uint64_t mask = k ? c->s.k[k] : ~0ull;
    unsigned bytes =
        n * (unsigned)__builtin_popcountll(mask & mask_low(i->vl / n));

    if (!vector_is_store(i))
        read_parts(c, i, v->mem, mask_low(bytes));
    vector_commit(c, i, vector_execute(c, i, v->mem));
    if (vector_is_store(i))
        write_parts(c, i, v->mem, mask_low(bytes));
}

/* --- EVEX opmask and a memory operand --- */
/* Bytes of the memory operand as it were without broadcast. */
static unsigned whole_operand(const struct insn *i, unsigned k)
{
    const struct opcode *row = insn_opcode(i);

    switch (operand_types[row->operand[k]].mem) {
    case SZ_x: return i->vl;
    case SZ_h: return i->vl / 2;
    case SZ_f: return i->vl / 4;
    case SZ_e: return i->vl / 8;
    default: return i->opnd[k].size;
    }
}

/* Bytes of memory that a mask bit stands for; 0: it is not so simple. */
static unsigned mask_granule(const struct insn *i, unsigned k)
{
    const struct opcode *row = insn_opcode(i);

    if (row->l == L_LIG) /* scalar: all of it, and bit 0 */
        return i->opnd[k].size;
    switch (row->tuple) {
    case T_M8: return 1;
    case T_B16:
    case T_M16: return 2;
    case T_B32:
    case T_M32: return 4;
    case T_B64:
    case T_M64: return 8;
    default: return 0;
    }
}

/* A mask of count elements laid over memory of only n, again and again. */
static uint64_t fold_mask(uint64_t mask, unsigned count, unsigned n)
{
    uint64_t folded = 0;

    for (unsigned k = 0; k < count; k += n)
        folded |= mask >> k;
    return folded & mask_low(n);
}

/* Which bytes of the memory operand k the mask selects. */
static uint64_t bytes_wanted(const struct insn *i, unsigned k, uint64_t mask)
{
    unsigned granule = mask_granule(i, k), n = i->opnd[k].size, count;

    if (!granule)
        return mask_low(n);
    if (insn_opcode(i)->evex & EV_REPEAT) {
        count = n / granule;
        mask =
            fold_mask(mask & mask_low(i->vl / granule), i->vl / granule, count);
    } else
        count = whole_operand(i, k) / granule;
    mask &= mask_low(count);
    if (n < count * granule) /* one element for all */
        return mask ? mask_low(n) : 0;
    return bytes_of_elements(mask, count, granule);
}

/*
 * As measured: where a mask can keep from faulting, #AC comes after what the
 * addresses of the bytes in it raise, and stands for the whole operand. A store
 * of a scalar is like any other.
 */
static COLD void check_masked_alignment(struct cpu *c, const struct insn *i,
                                        unsigned n, uint64_t bytes, bool store)
{
    const struct opcode *row = insn_opcode(i);
    gva_t a = op_address(c, i, n, store);

    if (n > 8 || vector_ac_exempt(i))
        return;
    if (row->evex & EV_NF || (store && row->l == L_LIG)) {
        mem_check_alignment(c, a, n);
        return;
    }
    check_addresses(c, i, x86_ea(c, i), bytes, store);
    if (a & (n - 1))
        x86_raise_error(c, EXC_AC, 0);
}

void vector_under_mask(struct cpu *c, const struct insn *i)
{
    struct hostvec *v = c->hostvec;
    const struct opcode *row = insn_opcode(i);
    bool store = vector_is_store(i), all = row->evex & EV_NF;
    unsigned k = vector_mem_operand(i), n = i->opnd[k].size;
    uint64_t bytes = bytes_wanted(i, k, c->s.k[vector_opmask(i)]);
    uint32_t raised;

    /* With nothing to access, alignment does not matter either. */
    if ((row->props & OP_ALIGN) && bytes &&
        (op_address(c, i, n, store) & (n - 1)))
        x86_raise_gp0(c);
    if (unlikely(c->tlb_mode == TLB_USER_AC) && (bytes || all))
        check_masked_alignment(c, i, n, bytes, store);
    if (!store) {
        read_parts(c, i, v->mem, all ? mask_low(n) : bytes);
        vector_commit(c, i, vector_execute(c, i, v->mem));
        return;
    }
    if (all)
        mem_probe_bytes(c, op_address(c, i, n, true), n, true);
    raised = vector_execute(c, i, v->mem);
    c->s.mxcsr |= raised; /* even if the write faults */
    write_parts(c, i, v->mem, bytes);
    vector_commit(c, i, raised);
}

void op_vector_masked(struct cpu *c, const struct insn *i)
{
    if (is_maskmov_bytes(i))
        maskmov_bytes(c, i);
    else if (i->flags & INSN_VSIB)
        i->opnd[0].kind == OPND_MEM ? scatter(c, i) : gather(c, i);
    else if (!c->hostvec)
        x86_raise(c, EXC_UD);
    else if (!(i->flags & INSN_MEM))
        vector_commit(c, i, vector_execute(c, i, NULL));
    else if (is_packed(i))
        packed(c, i);
    else if (insn_encoding(i) == ENC_VEX)
        maskmov(c, i);
    else
        vector_under_mask(c, i);
}
