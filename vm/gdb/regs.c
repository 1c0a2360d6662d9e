/*
 * The registers that GDB sees, and their description for it ("Debugging with
 * GDB", appendix "Target Descriptions"; features of "i386 Features"). It is of
 * a 64-bit CPU, whatever mode the guest is in.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "base/libc.h"
#include "lodge/host.h"
#include "vm/gdb/internal.h"

enum { XML_ROOM = 32 << 10, REG_BYTES = 32 };

/* Of FXSAVE's layout. */
enum { FCW = 0, FSW = 2, FTW = 4, FOP = 6, FIP = 8, FDP = 16, ST = 32 };

/*
 * A register, or `count` of them with numbers in their names from `first` on,
 * `stride` bytes apart in struct x86_state.
 */
struct row {
    const char *name;
    uint8_t count; /* 0: one, without a number */
    uint8_t first;
    uint16_t bits;
    const char *type, *group;
    uint32_t state; /* STATE_* that it is in */
    const struct access *access;
    unsigned at; /* byte offset there, or what its functions take it for */
    uint8_t bytes, stride;
    const char *suffix; /* behind the number; NULL: nothing */
};
#define AT(member)                                                             \
    offsetof(struct x86_state, member), sizeof(((struct x86_state *)0)->member)

/*
 * How registers of a kind are read and written, where it is not simply the
 * number at a place. Values are in the order of x86. put returns false for what
 * a debugger must not write.
 */
struct access {
    void (*get)(const struct vcpu *v, const struct x86_state *s,
                const struct row *r, unsigned at, uint8_t *to);
    bool (*put)(struct x86_state *s, const struct row *r, unsigned at,
                const uint8_t *from);
};

/* --- numbers --- */

static uint64_t number(const struct x86_state *s, const struct row *r,
                       unsigned at)
{
    const void *p = (const uint8_t *)s + at;

    switch (r->bytes) {
    case 2: return *(const uint16_t *)p;
    case 4: return *(const uint32_t *)p;
    default: return *(const uint64_t *)p;
    }
}

static void set_number(struct x86_state *s, const struct row *r, unsigned at,
                       uint64_t v)
{
    void *p = (uint8_t *)s + at;

    switch (r->bytes) {
    case 2: *(uint16_t *)p = (uint16_t)v; break;
    case 4: *(uint32_t *)p = (uint32_t)v; break;
    default: *(uint64_t *)p = v; break;
    }
}

static void get_number(const struct vcpu *v, const struct x86_state *s,
                       const struct row *r, unsigned at, uint8_t *to)
{
    (void)v;
    store_le(to, number(s, r, at), r->bits / 8);
}

/* General registers and RIP: as wide as the mode. */
static bool put_wide(struct x86_state *s, const struct row *r, unsigned at,
                     const uint8_t *from)
{
    set_number(s, r, at,
               s->efer & EFER_LMA ? load_le64(from) : load_le32(from));
    return true;
}

/* Not VM: that is a mode, not a flag. */
static bool put_flags(struct x86_state *s, const struct row *r, unsigned at,
                      const uint8_t *from)
{
    const uint64_t all = FLAGS_STATUS | FLAG_TF | FLAG_IF | FLAG_DF |
                         FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_VIF |
                         FLAG_VIP | FLAG_ID;

    set_number(s, r, at, (number(s, r, at) & ~all) | (load_le32(from) & all));
    return true;
}

/* A descriptor goes with it, but where selectors are addresses. */
static bool put_selector(struct x86_state *s, const struct row *r, unsigned at,
                         const uint8_t *from)
{
    struct x86_seg *seg =
        (void *)((uint8_t *)s + at - offsetof(struct x86_seg, sel));
    uint32_t sel = load_le32(from);

    (void)r;
    if (sel > 0xffff || ((s->cr0 & CR0_PE) && !(s->rflags & FLAG_VM)))
        return false;
    seg->sel = (uint16_t)sel;
    seg->base = sel << 4;
    return true;
}

static bool put_address(struct x86_state *s, const struct row *r, unsigned at,
                        const uint8_t *from)
{
    uint64_t a = load_le64(from);

    if ((uint64_t)sign_extend(a, 48) != a || !(s->efer & EFER_LMA))
        return false;
    set_number(s, r, at, a);
    return true;
}

static bool put_number(struct x86_state *s, const struct row *r, unsigned at,
                       const uint8_t *from)
{
    set_number(s, r, at, load_le64(from));
    return true;
}

static bool put_mxcsr(struct x86_state *s, const struct row *r, unsigned at,
                      const uint8_t *from)
{
    if (load_le32(from) >> 16)
        return false;
    set_number(s, r, at, load_le32(from));
    return true;
}

/* Whose bits hang together with modes. */
static bool put_nothing(struct x86_state *s, const struct row *r, unsigned at,
                        const uint8_t *from)
{
    (void)s;
    (void)r;
    (void)at;
    (void)from;
    return false;
}

static void get_cr8(const struct vcpu *v, const struct x86_state *s,
                    const struct row *r, unsigned at, uint8_t *to)
{
    uint8_t tpr = 0;

    (void)s;
    (void)r;
    (void)at;
    if (v->intc && v->intc->get_tpr) {
        host_mutex_lock(v->lock);
        tpr = v->intc->get_tpr(v->intc_ctx);
        host_mutex_unlock(v->lock);
    }
    store_le64(to, tpr >> 4);
}

/* --- x87 registers and vectors: bytes --- */

static void get_bytes(const struct vcpu *v, const struct x86_state *s,
                      const struct row *r, unsigned at, uint8_t *to)
{
    (void)v;
    memcpy(to, (const uint8_t *)s + at, r->bits / 8);
}

static bool put_bytes(struct x86_state *s, const struct row *r, unsigned at,
                      const uint8_t *from)
{
    memcpy((uint8_t *)s + at, from, r->bits / 8);
    return true;
}

/* --- the x87's others: `at` is enum x87 --- */

enum x87 { CONTROL, STATUS, TAGS, IP_SEG, IP, DP_SEG, DP, OPCODE };
enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const uint8_t *st)
{
    unsigned exponent = load_le16(st + 8) & 0x7fff;
    uint64_t mantissa = load_le64(st);

    if (!exponent && !mantissa)
        return TAG_ZERO;
    return exponent == 0x7fff || !(mantissa >> 63) ? TAG_SPECIAL : TAG_VALID;
}

/* FXSAVE has a bit a register, empty or not; GDB wants what FSAVE has. */
static uint32_t tags(const uint8_t *fx)
{
    unsigned top = load_le16(fx + FSW) >> 11 & 7;
    uint32_t word = 0;

    for (unsigned n = 0; n < 8; n++)
        word |= (fx[FTW] >> n & 1 ? tag_of(fx + ST + 16 * ((n - top) & 7))
                                  : TAG_EMPTY)
                << 2 * n;
    return word;
}

static void get_x87(const struct vcpu *v, const struct x86_state *s,
                    const struct row *r, unsigned at, uint8_t *to)
{
    const uint8_t *fx = s->fxsave;
    uint32_t value = 0;

    (void)v;
    (void)r;
    switch ((enum x87)at) {
    case CONTROL: value = load_le16(fx + FCW); break;
    case STATUS: value = load_le16(fx + FSW); break;
    case TAGS: value = tags(fx); break;
    case IP_SEG: value = load_le16(fx + FIP + 4); break;
    case IP: value = load_le32(fx + FIP); break;
    case DP_SEG: value = load_le16(fx + FDP + 4); break;
    case DP: value = load_le32(fx + FDP); break;
    case OPCODE: value = load_le16(fx + FOP) & 0x7ff; break;
    }
    store_le32(to, value);
}

static bool put_x87(struct x86_state *s, const struct row *r, unsigned at,
                    const uint8_t *from)
{
    enum { CONTROL_BITS = 0x1f3f, CONTROL_SET = 0x40 };
    uint8_t *fx = s->fxsave;
    uint32_t value = load_le32(from);

    (void)r;
    switch ((enum x87)at) {
    case CONTROL:
        store_le16(fx + FCW, (value & CONTROL_BITS) | CONTROL_SET);
        break;
    case STATUS: store_le16(fx + FSW, (uint16_t)value); break;
    case TAGS:
        fx[FTW] = 0;
        for (unsigned n = 0; n < 8; n++)
            if ((value >> 2 * n & 3) != TAG_EMPTY)
                fx[FTW] |= 1u << n;
        break;
    case IP_SEG: store_le16(fx + FIP + 4, (uint16_t)value); break;
    case IP: store_le32(fx + FIP, value); break;
    case DP_SEG: store_le16(fx + FDP + 4, (uint16_t)value); break;
    case DP: store_le32(fx + FDP, value); break;
    case OPCODE: store_le16(fx + FOP, value & 0x7ff); break;
    }
    return true;
}

/* --- the list --- */

static const struct access wide = {get_number, put_wide},
                           flags = {get_number, put_flags},
                           selector = {get_number, put_selector},
                           address = {get_number, put_address},
                           mxcsr = {get_number, put_mxcsr},
                           mask = {get_number, put_number},
                           fixed = {get_number, put_nothing},
                           cr8 = {get_cr8, put_nothing},
                           raw = {get_bytes, put_bytes},
                           x87 = {get_x87, put_x87};

static const struct row core[] = {
    {"rax", 0, 0, 64, "int64", 0, STATE_REGS, &wide, AT(gpr[RAX])},
    {"rbx", 0, 0, 64, "int64", 0, STATE_REGS, &wide, AT(gpr[RBX])},
    {"rcx", 0, 0, 64, "int64", 0, STATE_REGS, &wide, AT(gpr[RCX])},
    {"rdx", 0, 0, 64, "int64", 0, STATE_REGS, &wide, AT(gpr[RDX])},
    {"rsi", 0, 0, 64, "int64", 0, STATE_REGS, &wide, AT(gpr[RSI])},
    {"rdi", 0, 0, 64, "int64", 0, STATE_REGS, &wide, AT(gpr[RDI])},
    {"rbp", 0, 0, 64, "data_ptr", 0, STATE_REGS, &wide, AT(gpr[RBP])},
    {"rsp", 0, 0, 64, "data_ptr", 0, STATE_REGS, &wide, AT(gpr[RSP])},
    {"r", 8, 8, 64, "int64", 0, STATE_REGS, &wide, AT(gpr[R8]), 8},
    {"rip", 0, 0, 64, "code_ptr", 0, STATE_REGS, &wide, AT(rip)},
    {"eflags", 0, 0, 32, "i386_eflags", 0, STATE_REGS, &flags, AT(rflags)},
    {"cs", 0, 0, 32, "int32", 0, STATE_SREGS, &selector, AT(seg[CS].sel)},
    {"ss", 0, 0, 32, "int32", 0, STATE_SREGS, &selector, AT(seg[SS].sel)},
    {"ds", 0, 0, 32, "int32", 0, STATE_SREGS, &selector, AT(seg[DS].sel)},
    {"es", 0, 0, 32, "int32", 0, STATE_SREGS, &selector, AT(seg[ES].sel)},
    {"fs", 0, 0, 32, "int32", 0, STATE_SREGS, &selector, AT(seg[FS].sel)},
    {"gs", 0, 0, 32, "int32", 0, STATE_SREGS, &selector, AT(seg[GS].sel)},
    {"st", 8, 0, 80, "i387_ext", 0, STATE_FPU, &raw, AT(fxsave[ST]), 16},
    {"fctrl", 0, 0, 32, "int", "float", STATE_FPU, &x87, CONTROL},
    {"fstat", 0, 0, 32, "int", "float", STATE_FPU, &x87, STATUS},
    {"ftag", 0, 0, 32, "int", "float", STATE_FPU, &x87, TAGS},
    {"fiseg", 0, 0, 32, "int", "float", STATE_FPU, &x87, IP_SEG},
    {"fioff", 0, 0, 32, "int", "float", STATE_FPU, &x87, IP},
    {"foseg", 0, 0, 32, "int", "float", STATE_FPU, &x87, DP_SEG},
    {"fooff", 0, 0, 32, "int", "float", STATE_FPU, &x87, DP},
    {"fop", 0, 0, 32, "int", "float", STATE_FPU, &x87, OPCODE},
    {0}};
static const struct row sse[] = {
    {"xmm", 16, 0, 128, "vec128", 0, STATE_FPU, &raw, AT(zmm[0][0]), 64},
    {"mxcsr", 0, 0, 32, "i386_mxcsr", "vector", STATE_FPU, &mxcsr, AT(mxcsr)},
    {0}};
static const struct row segments[] = {
    {"fs_base", 0, 0, 64, "int", 0, STATE_SREGS, &address, AT(seg[FS].base)},
    {"gs_base", 0, 0, 64, "int", 0, STATE_SREGS, &address, AT(seg[GS].base)},
    {0}};
/* Names that end in h are of upper halves. */
static const struct row avx[] = {
    {"ymm", 16, 0, 128, "uint128", 0, STATE_FPU, &raw, AT(zmm[0][16]), 64, "h"},
    {0}};
static const struct row avx512[] = {
    {"k", 8, 0, 64, "uint64", 0, STATE_FPU, &mask, AT(k[0]), 8},
    {"zmm", 32, 0, 256, "v2ui128", 0, STATE_FPU, &raw, AT(zmm[0][32]), 64, "h"},
    {"xmm", 16, 16, 128, "vec128", 0, STATE_FPU, &raw, AT(zmm[16][0]), 64},
    {"ymm", 16, 16, 128, "uint128", 0, STATE_FPU, &raw, AT(zmm[16][16]), 64,
     "h"},
    {0}};
static const struct row control[] = {
    {"k_gs_base", 0, 0, 64, "int", "system", STATE_MSRS, &address,
     AT(kernel_gs_base)},
    {"cr0", 0, 0, 64, "cr0", "system", STATE_SREGS, &fixed, AT(cr0)},
    {"cr2", 0, 0, 64, "int", "system", STATE_SREGS, &address, AT(cr2)},
    {"cr3", 0, 0, 64, "int", "system", STATE_SREGS, &fixed, AT(cr3)},
    {"cr4", 0, 0, 64, "cr4", "system", STATE_SREGS, &fixed, AT(cr4)},
    {"cr8", 0, 0, 64, "int", "system", 0, &cr8},
    {"efer", 0, 0, 64, "efer", "system", STATE_SREGS, &fixed, AT(efer)},
    {0}};

/* --- types: names of bits, and vectors --- */

struct bit {
    const char *name;
    uint8_t from, to;
};
static const struct bit eflags_bits[] = {{"CF", 0, 0},
                                         {"", 1, 1},
                                         {"PF", 2, 2},
                                         {"AF", 4, 4},
                                         {"ZF", 6, 6},
                                         {"SF", 7, 7},
                                         {"TF", 8, 8},
                                         {"IF", 9, 9},
                                         {"DF", 10, 10},
                                         {"OF", 11, 11},
                                         {"IOPL", 12, 13},
                                         {"NT", 14, 14},
                                         {"RF", 16, 16},
                                         {"VM", 17, 17},
                                         {"AC", 18, 18},
                                         {"VIF", 19, 19},
                                         {"VIP", 20, 20},
                                         {"ID", 21, 21},
                                         {0}};
static const struct bit mxcsr_bits[] = {
    {"IE", 0, 0},   {"DE", 1, 1},   {"ZE", 2, 2},   {"OE", 3, 3},
    {"UE", 4, 4},   {"PE", 5, 5},   {"DAZ", 6, 6},  {"IM", 7, 7},
    {"DM", 8, 8},   {"ZM", 9, 9},   {"OM", 10, 10}, {"UM", 11, 11},
    {"PM", 12, 12}, {"RC", 13, 14}, {"FZ", 15, 15}, {0}};
static const struct bit cr0_bits[] = {
    {"PE", 0, 0},   {"MP", 1, 1},   {"EM", 2, 2},   {"TS", 3, 3},
    {"ET", 4, 4},   {"NE", 5, 5},   {"WP", 16, 16}, {"AM", 18, 18},
    {"NW", 29, 29}, {"CD", 30, 30}, {"PG", 31, 31}, {0}};
static const struct bit cr4_bits[] = {
    {"VME", 0, 0},     {"PVI", 1, 1},          {"TSD", 2, 2},
    {"DE", 3, 3},      {"PSE", 4, 4},          {"PAE", 5, 5},
    {"MCE", 6, 6},     {"PGE", 7, 7},          {"PCE", 8, 8},
    {"OSFXSR", 9, 9},  {"OSXMMEXCPT", 10, 10}, {"UMIP", 11, 11},
    {"LA57", 12, 12},  {"VMXE", 13, 13},       {"FSGSBASE", 16, 16},
    {"PCIDE", 17, 17}, {"OSXSAVE", 18, 18},    {"SMEP", 20, 20},
    {"SMAP", 21, 21},  {"PKE", 22, 22},        {0}};
static const struct bit efer_bits[] = {{"SCE", 0, 0},     {"LME", 8, 8},
                                       {"LMA", 10, 10},   {"NXE", 11, 11},
                                       {"FFXSR", 14, 14}, {0}};

struct flag_type {
    const char *id;
    uint8_t bytes;
    const struct bit *bits;
};
static const struct flag_type core_types[] = {{"i386_eflags", 4, eflags_bits},
                                              {0}};
static const struct flag_type sse_types[] = {{"i386_mxcsr", 4, mxcsr_bits},
                                             {0}};
static const struct flag_type control_types[] = {
    {"cr0", 8, cr0_bits}, {"cr4", 8, cr4_bits}, {"efer", 8, efer_bits}, {0}};
static const struct flag_type no_types[] = {{0}};

/* The ways to look at a vector of 128 bits. */
static const struct {
    const char *id, *type, *field;
    uint8_t count;
} lanes[] = {{"v4f", "ieee_single", "v4_float", 4},
             {"v2d", "ieee_double", "v2_double", 2},
             {"v16i8", "int8", "v16_int8", 16},
             {"v8i16", "int16", "v8_int16", 8},
             {"v4i32", "int32", "v4_int32", 4},
             {"v2i64", "int64", "v2_int64", 2}};

static const struct feature {
    const char *name;
    const struct row *rows;
    const struct flag_type *types;
    bool vectors;
    enum x86_feature needs; /* 0: nothing */
} features[] = {
    {"org.gnu.gdb.i386.core", core, core_types, false, 0},
    {"org.gnu.gdb.i386.sse", sse, sse_types, true, 0},
    {"org.gnu.gdb.i386.segments", segments, no_types, false, 0},
    {"org.lodge.i386.system", control, control_types, false, 0},
    {"org.gnu.gdb.i386.avx", avx, no_types, false, FEAT_AVX},
    {"org.gnu.gdb.i386.avx512", avx512, no_types, true, FEAT_AVX512F},
};

static bool has(const struct gdb_stub *s, const struct feature *f)
{
    return !f->needs ||
           feature_has(&vm_config(s->vm)->model->features, f->needs);
}

static unsigned count_of(const struct row *r)
{
    return r->count ? r->count : 1;
}

/* Register n: its row, and its own place; NULL: there are fewer. */
static const struct row *find(const struct gdb_stub *s, uint64_t n,
                              unsigned *at)
{
    for (unsigned k = 0; k < ARRAY_LEN(features); k++) {
        if (!has(s, &features[k]))
            continue;
        for (const struct row *r = features[k].rows; r->name; r++) {
            if (n < count_of(r)) {
                *at = r->at + (unsigned)n * r->stride;
                return r;
            }
            n -= count_of(r);
        }
    }
    return NULL;
}

/* --- the description --- */

static void put_flag_type(struct gdb_text *t, const struct flag_type *f)
{
    gdb_print(t, "<flags id=\"%s\" size=\"%u\">", f->id, f->bytes);
    for (const struct bit *b = f->bits; b->name; b++)
        gdb_print(t, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", b->name,
                  b->from, b->to);
    gdb_print(t, "</flags>\n");
}

static void put_vectors(struct gdb_text *t)
{
    for (unsigned n = 0; n < ARRAY_LEN(lanes); n++)
        gdb_print(t, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>",
                  lanes[n].id, lanes[n].type, lanes[n].count);
    gdb_print(t, "<union id=\"vec128\">");
    for (unsigned n = 0; n < ARRAY_LEN(lanes); n++)
        gdb_print(t, "<field name=\"%s\" type=\"%s\"/>", lanes[n].field,
                  lanes[n].id);
    gdb_print(t, "<field name=\"uint128\" type=\"uint128\"/></union>"
                 "<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n");
}

static void put_row(struct gdb_text *t, const struct row *r)
{
    for (unsigned n = 0; n < count_of(r); n++) {
        gdb_print(t, "<reg name=\"%s", r->name);
        if (r->count)
            gdb_print(t, "%u%s", r->first + n, r->suffix ? r->suffix : "");
        gdb_print(t, "\" bitsize=\"%u\" type=\"%s\"", r->bits, r->type);
        if (r->group)
            gdb_print(t, " group=\"%s\"", r->group);
        gdb_print(t, "/>\n");
    }
}

static void put_feature(struct gdb_text *t, const struct feature *f)
{
    gdb_print(t, "<feature name=\"%s\">\n", f->name);
    for (const struct flag_type *type = f->types; type->id; type++)
        put_flag_type(t, type);
    if (f->vectors)
        put_vectors(t);
    for (const struct row *r = f->rows; r->name; r++)
        put_row(t, r);
    gdb_print(t, "</feature>\n");
}

int gdb_features_make(struct gdb_stub *s)
{
    struct gdb_text *t = &s->features;

    t->p = host_alloc(XML_ROOM);
    if (!t->p)
        return -LE_NOMEM;
    t->size = XML_ROOM;
    gdb_print(t, "<?xml version=\"1.0\"?>\n"
                 "<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                 "<target version=\"1.0\">"
                 "<architecture>i386:x86-64</architecture>\n");
    for (unsigned n = 0; n < ARRAY_LEN(features); n++)
        if (has(s, &features[n]))
            put_feature(t, &features[n]);
    gdb_print(t, "</target>\n");
    return t->full ? -LE_NOMEM : 0;
}

/* --- reading --- */

static bool fetch(struct gdb_stub *s, uint32_t groups)
{
    if (!vm_get_state(s->vm, s->cpu, s->state, groups))
        return true;
    gdb_error(s, GDB_EFAULT);
    return false;
}

static void put_reg(struct gdb_stub *s, const struct row *r, unsigned at)
{
    uint8_t bytes[REG_BYTES];

    r->access->get(vm_vcpu(s->vm, s->cpu), s->state, r, at, bytes);
    gdb_put_hex(&s->reply, bytes, r->bits / 8);
}

void gdb_read_all(struct gdb_stub *s, struct gdb_words *w)
{
    const struct row *r;
    unsigned at;

    (void)w;
    if (!fetch(s, STATE_ALL))
        return;
    for (unsigned n = 0; (r = find(s, n, &at)) != NULL; n++)
        put_reg(s, r, at);
}

void gdb_read_one(struct gdb_stub *s, struct gdb_words *w)
{
    const struct row *r;
    unsigned at;
    uint64_t n;

    if (!gdb_number(w, &n) || !(r = find(s, n, &at)))
        gdb_error(s, GDB_EINVAL);
    else if (fetch(s, STATE_ALL))
        put_reg(s, r, at);
}

/* --- writing --- */

/* What differs from what there is; false: it cannot be written. */
static bool take_reg(struct gdb_stub *s, const struct row *r, unsigned at,
                     struct gdb_words *w, uint32_t *groups)
{
    uint8_t bytes[REG_BYTES], now[REG_BYTES];

    if (gdb_bytes(w, bytes, r->bits / 8) < r->bits / 8)
        return false;
    r->access->get(vm_vcpu(s->vm, s->cpu), s->state, r, at, now);
    if (!memcmp(bytes, now, r->bits / 8))
        return true;
    *groups |= r->state;
    return r->access->put(s->state, r, at, bytes);
}

/* A CPU that is told where to go on does not sleep any more. */
static void wake(struct x86_state *s, uint64_t rip_before, uint32_t *groups)
{
    if (s->rip == rip_before || s->activity != CPU_HALTED)
        return;
    s->activity = CPU_RUNNING;
    *groups |= STATE_EVENTS;
}

static void store(struct gdb_stub *s, uint64_t rip_before, uint32_t groups)
{
    wake(s->state, rip_before, &groups);
    if (groups && vm_set_state(s->vm, s->cpu, s->state, groups))
        gdb_error(s, GDB_EFAULT);
    else
        gdb_ok(s);
}

void gdb_write_all(struct gdb_stub *s, struct gdb_words *w)
{
    const struct row *r;
    uint32_t groups = 0;
    uint64_t from;
    unsigned at;

    if (!fetch(s, STATE_ALL))
        return;
    from = s->state->rip;
    for (unsigned n = 0; (r = find(s, n, &at)) != NULL; n++)
        if (!take_reg(s, r, at, w, &groups)) {
            gdb_error(s, GDB_EINVAL);
            return;
        }
    store(s, from, groups);
}

/* "number=bytes". */
void gdb_write_one(struct gdb_stub *s, struct gdb_words *w)
{
    const struct row *r;
    uint32_t groups = 0;
    uint64_t n, from;
    unsigned at;

    if (!gdb_number(w, &n) || !gdb_word(w, "=") || !(r = find(s, n, &at))) {
        gdb_error(s, GDB_EINVAL);
        return;
    }
    if (!fetch(s, STATE_ALL))
        return;
    from = s->state->rip;
    if (take_reg(s, r, at, w, &groups))
        store(s, from, groups);
    else
        gdb_error(s, GDB_EINVAL);
}
