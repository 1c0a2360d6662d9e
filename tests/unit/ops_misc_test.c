/*
 * Strings that fault, wrap or are interrupted; port I/O; locked operations on
 * several CPUs; decimal adjustment; the rest.
 */
#include "x86_fixture.h"

static uint64_t *gpr(void)
{
    return fx.cpu->s.gpr;
}

static void string_registers(uint64_t count, uint64_t from, uint64_t to)
{
    gpr()[RCX] = count;
    gpr()[RSI] = fx_linear(from);
    gpr()[RDI] = fx_linear(to);
    flags_set(fx.cpu, FLAG_1);
}

static void fill(uint64_t at, size_t n)
{
    for (size_t k = 0; k < n; k++)
        fx.host[at + k] = (uint8_t)(k * 7 + 3);
}

static bool same(uint64_t a, uint64_t b, size_t n)
{
    return !memcmp(fx.host + a, fx.host + b, n);
}

/* --- strings --- */
/* A fault in the middle leaves what was done, and goes on from there. */
static void string_faults(void **state)
{
    (void)state;
    fx_mode64(3);
    fill(DATA, 0x3000);
    memset(fx.host + FROZEN - 0x2000, 0, 0x1000);
    string_registers(0x3000, DATA, HOLE - 0x800);
    assert_int_equal(fx_run(0xf3, 0xa4), EXC_PF);
    assert_int_equal(gpr()[RCX], 0x3000 - 0x800);
    assert_int_equal(gpr()[RSI], fx_linear(DATA + 0x800));
    assert_int_equal(gpr()[RDI], fx_linear(HOLE));
    assert_int_equal(fx.cpu->exc.cr2, fx_linear(HOLE));
    assert_int_equal(fx.cpu->exc.error, 6); /* user write, not present */
    assert_true(same(DATA, HOLE - 0x800, 0x800));
    /* Elements that would cross into the hole */
    string_registers(0x100, DATA, HOLE - 20);
    assert_int_equal(fx_run(0xf3, 0x48, 0xa5), EXC_PF);
    assert_int_equal(gpr()[RCX], 0x100 - 2);
    assert_int_equal(gpr()[RDI], fx_linear(HOLE - 4));
    assert_int_equal(fx.cpu->exc.cr2, fx_linear(HOLE));
    string_registers(3, HOLE, FROZEN); /* the source comes first */
    assert_int_equal(fx_run(0xf3, 0xa4), EXC_PF);
    assert_int_equal(fx.cpu->exc.cr2, fx_linear(HOLE));
    string_registers(0x2000, 0, FROZEN - 1);
    assert_int_equal(fx_run(0xf3, 0xaa), EXC_PF);
    /* Flags are as before when a comparison faults. */
    string_registers(0x1000, HOLE - 8, HOLE - 8);
    flags_sub(fx.cpu, 0, 1, 4);
    assert_int_equal(fx_run(0xf3, 0xa6), EXC_PF);
    assert_int_equal(gpr()[RCX], 0x1000 - 8);
    assert_true(flags_cf(fx.cpu));
    assert_false(flags_zf(fx.cpu));
}

/* Backwards through a page that is not there. */
static void string_faults_down(void **state)
{
    (void)state;
    fx_mode64(3);
    string_registers(10, DATA, FROZEN + 0x1000);
    fx.cpu->s.rflags |= FLAG_DF;
    assert_int_equal(fx_run(0xf3, 0xab), EXC_PF); /* stosd */
    assert_int_equal(gpr()[RCX], 9);
    assert_int_equal(gpr()[RDI], fx_linear(FROZEN + 0xffc));
    assert_int_equal(fx.cpu->exc.error, 7);
}

static void string_wraps(void **state)
{
    (void)state;
    fx_real();
    fill(0, 0x10000);
    string_registers(0xabcd0010, 0x1230fff8, 0x45600004);
    memmove(fx.host + DATA, fx.host, 0x10000);
    fx_segment(ES, DATA >> 4, DATA, 0xffff, 0x93);
    x86_mode_changed(fx.cpu);
    assert_int_equal(fx_run(0xf3, 0xa4), RAN);
    assert_int_equal(gpr()[RCX], 0xabcd0000);
    assert_int_equal(gpr()[RSI], 0x12300008);
    assert_int_equal(gpr()[RDI], 0x45600014);
    assert_true(same(0xfff8, DATA + 4, 8));
    assert_true(same(0, DATA + 12, 8));
    /* A word at 0xffff is beyond the limit. */
    string_registers(4, 0xfffd, 0);
    assert_int_equal(fx_run(0xf3, 0xa5), EXC_GP);
    assert_int_equal(gpr()[RCX], 3);
    assert_int_equal(gpr()[RSI], 0xffff);
    assert_int_equal(gpr()[RDI], 2);
}

static void string_limits(void **state)
{
    (void)state;
    fx_protected(32, 0);
    fill(DATA, 0x1000);
    fx_segment(ES, 0x10, DATA + 0x2000, 0x123, 0xc093 & ~SEG_G);
    x86_mode_changed(fx.cpu);
    string_registers(0x1000, DATA, 0);
    memset(fx.host + DATA + 0x2000, 0, 0x1000);
    assert_int_equal(fx_run(0xf3, 0xa4), EXC_GP);
    assert_int_equal(gpr()[RDI], 0x124);
    assert_int_equal(gpr()[RCX], 0x1000 - 0x124);
    assert_true(same(DATA, DATA + 0x2000, 0x124));
    assert_int_equal(fx.host[DATA + 0x2124], 0);
    fx_segment(ES, 0x10, DATA + 0x2000, 0x123, 0xc091); /* read-only */
    x86_mode_changed(fx.cpu);
    string_registers(1, DATA, 0);
    assert_int_equal(fx_run(0xf3, 0xaa), EXC_GP);
    assert_int_equal(fx_run(0xf3, 0xae), RAN); /* scasb reads */
    /* expand-down: valid above the limit */
    fx_segment(ES, 0x10, DATA, 0xfff, 0x4097);
    x86_mode_changed(fx.cpu);
    string_registers(0x10, DATA, 0xff8);
    assert_int_equal(fx_run(0xf3, 0xaa), EXC_GP);
    string_registers(0x1800, DATA, 0x1000);
    gpr()[RAX] = 0x5a;
    assert_int_equal(fx_run(0xf3, 0xaa), RAN);
    assert_int_equal(fx.host[DATA + 0x27ff], 0x5a);
}

static void string_interrupted(void **state)
{
    struct cpu *c = fx.cpu;

    (void)state;
    fx_mode64(3);
    string_registers(0x30000, DATA, DATA);
    fx.vcpu.events = VCPU_INTR;
    assert_int_equal(fx_run(0xf3, 0xaa), RESTART);
    assert_int_equal(c->s.rip, CODE);
    assert_int_equal(gpr()[RCX] + (gpr()[RDI] - fx_linear(DATA)), 0x30000);
    assert_true(gpr()[RCX] < 0x30000 && gpr()[RCX] >= 0x1e000);
    assert_int_equal(fx_run(0xf3, 0xaa), RESTART); /* it gets on */
    fx.vcpu.events = 0;
    assert_int_equal(fx_run(0xf3, 0xaa), RAN);
    assert_int_equal(gpr()[RCX], 0);
    assert_int_equal(gpr()[RDI], fx_linear(DATA + 0x30000));
    /* Single-stepping: one repetition a trap, the last as any instruction. */
    c->s.rflags |= FLAG_TF;
    x86_mode_changed(c);
    string_registers(2, DATA, DATA + 64);
    c->s.rflags |= FLAG_TF;
    c->s.pending_db = 0;
    assert_int_equal(fx_run(0xf3, 0xa4), RESTART);
    assert_int_equal(gpr()[RCX], 1);
    assert_int_equal(c->s.pending_db, 1 << 14);
    c->s.pending_db = 0;
    assert_int_equal(fx_run(0xf3, 0xa4), RAN);
    assert_int_equal(c->s.pending_db, 0);
    c->s.rflags &= ~(uint64_t)FLAG_TF;
    x86_mode_changed(c);
}

/* What Intel's CPUs do to the registers when there is nothing to do. */
static void string_of_nothing(void **state)
{
    const uint64_t high = 0xaaaaaaaa00000000;

    (void)state;
    fx_mode64(3);
    gpr()[RCX] = high;
    gpr()[RSI] = gpr()[RDI] = high | 1;
    assert_int_equal(fx_run(0x67, 0xf3, 0xaa), RAN);
    assert_int_equal(gpr()[RCX], 0);
    assert_int_equal(gpr()[RDI], 1);
    assert_int_equal(gpr()[RSI], high | 1);
    gpr()[RCX] = 0;
    gpr()[RDI] = high;
    flags_set(fx.cpu, FLAG_1 | FLAG_CF);
    assert_int_equal(fx_run(0xf3, 0xa6), RAN); /* no flags either */
    assert_int_equal(gpr()[RDI], high);
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_CF);
}

/* --- ports --- */
static struct {
    struct region region;
    uint64_t in, out[16];
    unsigned reads, writes, offset, size;
} port;

static uint64_t port_read(void *dev, uint64_t off, unsigned n)
{
    (void)dev;
    port.reads++;
    port.offset = (unsigned)off;
    port.size = n;
    return port.in++;
}

static void port_write(void *dev, uint64_t off, uint64_t v, unsigned n)
{
    (void)dev;
    port.offset = (unsigned)off;
    port.size = n;
    port.out[port.writes++ % 16] = v;
}

static const struct region_ops port_ops = {port_read, port_write, 1, 4};

static void ports(void **state)
{
    (void)state;
    fx_mode64(0);
    port.region = (struct region){.name = "port", .size = 16, .ops = &port_ops};
    assert_int_equal(space_map(fx.io, 0x80, &port.region, 0), 0);
    port.in = 0x11223344;
    gpr()[RAX] = ~0ull;
    assert_int_equal(fx_run(0xe4, 0x81), RAN);
    assert_int_equal(gpr()[RAX], 0xffffffffffffff44);
    assert_int_equal(port.offset, 1);
    assert_int_equal(port.size, 1);
    gpr()[RDX] = 0xffff0084;
    assert_int_equal(fx_run(0xed), RAN);
    assert_int_equal(gpr()[RAX], 0x11223345);
    assert_int_equal(port.offset, 4);
    assert_int_equal(fx_run(0x66, 0xef), RAN);
    assert_int_equal(port.out[0], 0x3345);
    assert_int_equal(port.size, 2);
    /* outsw, insd */
    fill(DATA, 16);
    string_registers(3, DATA, DATA + 64);
    port.writes = 0;
    assert_int_equal(fx_run(0xf3, 0x66, 0x6f), RAN);
    assert_int_equal(port.writes, 3);
    assert_int_equal(port.out[2], load_le16(fx.host + DATA + 4));
    assert_int_equal(gpr()[RSI], fx_linear(DATA + 6));
    port.in = 100;
    string_registers(2, DATA, DATA + 64);
    assert_int_equal(fx_run(0xf3, 0x6d), RAN);
    assert_int_equal(load_le32(fx.host + DATA + 68), 101);
    assert_int_equal(gpr()[RCX], 0);
    /* A page that cannot be written: the port is not read. */
    port.reads = 0;
    string_registers(2, DATA, FROZEN);
    assert_int_equal(fx_run(0xf3, 0x6c), EXC_PF);
    assert_int_equal(port.reads, 0);
    assert_int_equal(gpr()[RCX], 2);
    fx_mode64(3); /* IOPL 0 and no bitmap */
    assert_int_equal(fx_run(0xe4, 0x81), EXC_GP);
    assert_int_equal(fx_run(0xf3, 0x6c), EXC_GP);
    assert_int_equal(port.reads, 0);
    space_unmap(&port.region);
}

/* --- LOCK --- */
enum { TURNS = 100000 };

struct worker {
    struct cpu *cpu;
    struct insn add, inc, xchg, wide, split;
    _Atomic unsigned *ready;
};

static struct insn decoded(const uint8_t *bytes, size_t n)
{
    struct insn i;

    assert_int_equal(x86_decode(&i, bytes, n, DECODE_64), DECODE_OK);
    return i;
}

static void run_one(struct cpu *c, const struct insn *i)
{
    c->insn = i;
    i->fn(c, i);
}

/* Spins on a lock taken with XCHG, and counts under it and without. */
static void worker(void *arg)
{
    struct worker *w = arg;
    struct cpu *c = w->cpu;
    uint64_t *r = c->s.gpr;

    atomic_fetch_add(w->ready, 1);
    while (*w->ready < 2)
        continue;
    for (unsigned k = 0; k < TURNS; k++) {
        run_one(c, &w->add);
        run_one(c, &w->inc);
        do { /* 128-bit increment */
            r[RBX] = r[RAX] + 1;
            r[RCX] = r[RDX] + 1;
            run_one(c, &w->wide);
        } while (!flags_zf(c));
        r[RAX] = k;
        run_one(c, &w->split);
        do {
            r[R8] = 1;
            run_one(c, &w->xchg);
        } while (r[R8]);
        fx.host[DATA + 0x80]++; /* not atomic */
        __atomic_store_n((uint32_t *)(void *)(fx.host + DATA + 0x40), 0,
                         __ATOMIC_RELEASE);
    }
}

static void locked(void **state)
{
    static const uint8_t add[] = {0xf0, 0x83, 0x07, 0x03}; /* [rdi], 3 */
    static const uint8_t inc[] = {0xf0, 0xfe, 0x47, 0x0b}; /* byte [rdi+11] */
    static const uint8_t xchg[] = {0x44, 0x87, 0x47, 0x40};
    static const uint8_t wide[] = {0xf0, 0x48, 0x0f, 0xc7, 0x4f, 0x10};
    static const uint8_t split[] = {0xf0, 0x48, 0x83, 0x87, 0xfc,
                                    0x0f, 0x00, 0x00, 0x01};
    struct host_mutex rmw;
    struct host_thread *t[2];
    struct worker w[2];
    _Atomic unsigned ready = 0;

    (void)state;
    fx_mode64(3);
    memset(fx.host + DATA, 0, 0x2000);
    host_mutex_init(&rmw);
    for (unsigned n = 0; n < 2; n++) {
        struct cpu *c = aligned_alloc(64, (sizeof *c + 63) / 64 * 64);

        memcpy(c, fx.cpu, sizeof *c);
        x86_mode_changed(c);
        tlb_flush_all(c);
        c->rmw_lock = &rmw;
        c->s.gpr[RDI] = fx_linear(DATA);
        c->s.gpr[RAX] = c->s.gpr[RDX] = 0;
        w[n] = (struct worker){c,
                               decoded(add, sizeof add),
                               decoded(inc, sizeof inc),
                               decoded(xchg, sizeof xchg),
                               decoded(wide, sizeof wide),
                               decoded(split, sizeof split),
                               &ready};
        t[n] = host_thread_start("cpu", worker, &w[n]);
    }
    for (unsigned n = 0; n < 2; n++) {
        host_thread_join(t[n]);
        free(w[n].cpu);
    }
    host_mutex_destroy(&rmw);
    assert_int_equal(load_le32(fx.host + DATA), 3 * 2 * TURNS);
    assert_int_equal(fx.host[DATA + 11], 2 * TURNS & 0xff);
    assert_int_equal(load_le64(fx.host + DATA + 0x10), 2 * TURNS);
    assert_int_equal(load_le64(fx.host + DATA + 0x18), 2 * TURNS);
    assert_int_equal(load_le64(fx.host + DATA + 0xffc), 2 * TURNS);
    assert_int_equal(fx.host[DATA + 0x80], 2 * TURNS & 0xff);
}

/* What another CPU stored in between is seen, at every size. */
static void lost_race(void **state)
{
    struct lock l;
    uint64_t old;

    (void)state;
    fx_mode64(3);
    for (unsigned n = 1; n <= 8; n *= 2) {
        store_le64(fx.host + DATA, 0x1111111111111111);
        lock_begin(fx.cpu, &l, fx_linear(DATA), n);
        assert_ptr_equal(l.host, fx.host + DATA);
        old = lock_read(fx.cpu, &l);
        fx.host[DATA + n - 1] = 0x77;
        assert_false(lock_commit(fx.cpu, &l, old, 0));
        assert_int_equal(fx.host[DATA + n - 1], 0x77);
        old = lock_read(fx.cpu, &l);
        assert_true(lock_commit(fx.cpu, &l, old, old ^ 1));
        assert_int_equal(fx.host[DATA], (old ^ 1) & 0xff);
        assert_int_equal(fx.host[DATA + 8 - 1], n == 8 ? 0x77 : 0x11);
    }
}

/* Read-modify-write is checked for writing, and changes nothing on a fault. */
static void locked_faults(void **state)
{
    static const uint8_t bytes[][7] = {
        {3, 0x01, 0x07},             /* add [rdi], eax */
        {4, 0xf0, 0x01, 0x07},       /* lock add */
        {3, 0x87, 0x07},             /* xchg */
        {4, 0x0f, 0xb1, 0x0f},       /* cmpxchg [rdi], ecx */
        {5, 0xf0, 0x0f, 0xb1, 0x0f}, /* lock cmpxchg */
        {4, 0x0f, 0xc7, 0x0f},       /* cmpxchg8b */
        {4, 0x0f, 0xc1, 0x0f},       /* xadd */
        {3, 0xd1, 0x27},             /* shl */
        {4, 0x0f, 0xab, 0x07},       /* bts [rdi], eax */
        {3, 0xf7, 0x1f},             /* neg */
    };
    uint64_t before[16];

    (void)state;
    fx_mode64(3);
    for (unsigned k = 0; k < ARRAY_LEN(bytes); k++) {
        string_registers(1, 0, FROZEN + 8);
        gpr()[RAX] = 5;
        memcpy(before, gpr(), sizeof before);
        flags_set(fx.cpu, FLAG_1 | FLAG_CF);
        if (fx_run_bytes(bytes[k] + 1, bytes[k][0] - 1u) != EXC_PF ||
            fx.cpu->exc.error != 7 || memcmp(before, gpr(), sizeof before) ||
            flags_get(fx.cpu) != (FLAG_1 | FLAG_CF))
            fail_msg("case %u", k);
    }
    gpr()[RDI] = fx_linear(DATA + 8);
    assert_int_equal(fx_run(0x48, 0x0f, 0xc7, 0x0f), EXC_GP); /* 16b */
}

/* --- decimal: pairs of AX and flags that a CPU gave --- */
static void decimal(void **state)
{
    static const struct {
        uint8_t op, imm;
        uint16_t ax, flags, ax_after, flags_after;
    } seen[] = {
        {0x27, 0, 0x45ff, 0x0c4, 0x4565, 0x015},
        {0x27, 0, 0x0069, 0x851, 0x00cf, 0x095},
        {0x27, 0, 0x1f29, 0x8c5, 0x1f89, 0x081},
        {0x27, 0, 0x004a, 0x8c4, 0x0050, 0x014},
        {0x27, 0, 0x00e3, 0x044, 0x0043, 0x001},
        {0x2f, 0, 0xc2bf, 0x095, 0xc259, 0x015},
        {0x2f, 0, 0x000d, 0x095, 0x00a7, 0x091},
        {0x2f, 0, 0xba31, 0x050, 0xba2b, 0x014},
        {0x2f, 0, 0x0005, 0x015, 0x009f, 0x095},
        {0x2f, 0, 0xfb66, 0x810, 0xfb60, 0x014},
        {0x2f, 0, 0x0005, 0x010, 0x00ff, 0x095},
        {0x2f, 0, 0x0006, 0x010, 0x0000, 0x054},
        {0x37, 0, 0xc49f, 0x880, 0xc505, 0x015},
        {0x37, 0, 0x1a70, 0x8c1, 0x1a00, 0x044},
        {0x37, 0, 0xb9ff, 0x8d4, 0xbb05, 0x015},
        {0x37, 0, 0x823e, 0x801, 0x8304, 0x011},
        {0x3f, 0, 0x42ff, 0x890, 0x4109, 0x015},
        {0x3f, 0, 0xf902, 0x810, 0xf70c, 0x015},
        {0x3f, 0, 0x9a32, 0x885, 0x9a02, 0x000},
        {0xd4, 10, 0x65ff, 0x8d0, 0x1905, 0x004},
        {0xd4, 10, 0x00be, 0x841, 0x1300, 0x044},
        {0xd5, 10, 0x31df, 0x045, 0x00c9, 0x095},
        {0xd5, 10, 0xca11, 0x094, 0x00f5, 0x084},
        {0xd5, 0x7f, 0xd648, 0x045, 0x0072, 0x014},
        {0xd6, 0, 0x8fff, 0x801, 0x8fff, 0x801},
        {0xd6, 0, 0x18f8, 0x084, 0x1800, 0x084},
    };

    (void)state;
    fx_protected(32, 0);
    for (unsigned k = 0; k < ARRAY_LEN(seen); k++) {
        uint8_t bytes[2] = {seen[k].op, seen[k].imm};

        gpr()[RAX] = 0xabcd0000u | seen[k].ax;
        flags_set(fx.cpu, FLAG_1 | seen[k].flags);
        assert_int_equal(fx_run_bytes(bytes, seen[k].imm ? 2 : 1), RAN);
        if (gpr()[RAX] != (0xabcd0000u | seen[k].ax_after) ||
            flags_get(fx.cpu) != (FLAG_1 | seen[k].flags_after))
            fail_msg("case %u: ax %lx flags %lx", k, gpr()[RAX],
                     fx.cpu->s.rflags);
    }
    assert_int_equal(fx_run(0xd4, 0), EXC_DE); /* aam 0 */
}

/* --- division at the edge of what fits --- */
static int divide(uint64_t high, uint64_t low, uint64_t by, unsigned n)
{
    gpr()[RDX] = high;
    gpr()[RAX] = low;
    gpr()[RCX] = by;
    return n == 1 ? fx_run(0xf6, 0xf9) : fx_run(0x48, 0xf7, 0xf9);
}

static void quotients(void **state)
{
    const uint64_t least = 1ull << 63;

    (void)state;
    fx_mode64(3);
    assert_int_equal(divide(0, 0xff80, 1, 1), RAN);
    assert_int_equal(gpr()[RAX], 0x0080); /* -128 and 0 */
    assert_int_equal(divide(0, 0xff01, 2, 1), RAN);
    assert_int_equal(gpr()[RAX], 0xff81);              /* -127 and -1 */
    assert_int_equal(divide(0, 0xff7f, 1, 1), EXC_DE); /* -129 */
    assert_int_equal(divide(0, 0x0080, 1, 1), EXC_DE);
    assert_int_equal(divide(0, 0xff80, 0xff, 1), EXC_DE);
    assert_int_equal(gpr()[RAX], 0xff80);
    assert_int_equal(divide(~0ull, least, 1, 8), RAN);
    assert_int_equal(gpr()[RAX], least);
    assert_int_equal(divide(~0ull, least, ~0ull, 8), EXC_DE);
    assert_int_equal(divide(0, least, ~0ull, 8), RAN); /* 2^63 / -1 */
    assert_int_equal(gpr()[RAX], least);
    assert_int_equal(divide(~0ull, least - 1, 1, 8), EXC_DE);
    assert_int_equal(divide(1ull << 62, 0, least, 8), RAN);
    assert_int_equal(gpr()[RAX], least);
    assert_int_equal(gpr()[RDX], 0);
    assert_int_equal(divide(5, 5, 0, 8), EXC_DE);
    assert_int_equal(gpr()[RDX], 5);
}

/* --- the rest --- */
static void bounds(void **state)
{
    (void)state;
    fx_protected(32, 0);
    store_le32(fx.host + DATA, (uint32_t)-5);
    store_le32(fx.host + DATA + 4, 7);
    gpr()[RDI] = DATA;
    for (int v = -7; v < 10; v++) {
        gpr()[RAX] = (uint32_t)v;
        assert_int_equal(fx_run(0x62, 0x07), v < -5 || v > 7 ? EXC_BR : RAN);
    }
    store_le16(fx.host + DATA, 3);
    store_le16(fx.host + DATA + 2, 9);
    gpr()[RAX] = 0xffff0009;
    assert_int_equal(fx_run(0x66, 0x62, 0x07), RAN);
    gpr()[RAX] = 2;
    assert_int_equal(fx_run(0x66, 0x62, 0x07), EXC_BR);
}

static void translate(void **state)
{
    (void)state;
    fx_mode64(3);
    fill(DATA, 256);
    gpr()[RBX] = fx_linear(DATA);
    gpr()[RAX] = 0x12c8;
    assert_int_equal(fx_run(0xd7), RAN);
    assert_int_equal(gpr()[RAX], 0x1200 | fx.host[DATA + 0xc8]);
    fx_real();
    gpr()[RBX] = 0x5fff8; /* wraps at 64 KB */
    fx.host[0x10] = 0x77;
    gpr()[RAX] = 0x18;
    assert_int_equal(fx_run(0xd7), RAN);
    assert_int_equal(gpr()[RAX], 0x77);
}

static void direct_store(void **state)
{
    (void)state;
    fx_mode64(3);
    fill(DATA + 3, 64);
    gpr()[RSI] = fx_linear(DATA + 3);
    gpr()[RAX] = fx_linear(DATA + 0x100);
    assert_int_equal(fx_run(0x66, 0x0f, 0x38, 0xf8, 0x06), RAN);
    assert_true(same(DATA + 3, DATA + 0x100, 64));
    gpr()[RAX] += 8;
    assert_int_equal(fx_run(0x66, 0x0f, 0x38, 0xf8, 0x06), EXC_GP);
}

/* Without BMI1 and LZCNT the F3 prefix is ignored. */
static void old_scans(void **state)
{
    (void)state;
    fx_mode64(3);
    gpr()[RCX] = 0x10;
    assert_int_equal(fx_run(0xf3, 0x0f, 0xbd, 0xc1), RAN);
    assert_int_equal(gpr()[RAX], 27);
    feature_set(&fx.model.features, FEAT_LZCNT, false);
    feature_set(&fx.model.features, FEAT_BMI1, false);
    assert_int_equal(fx_run(0xf3, 0x0f, 0xbd, 0xc1), RAN);
    assert_int_equal(gpr()[RAX], 4);
    gpr()[RCX] = 0;
    assert_int_equal(fx_run(0xf3, 0x0f, 0xbc, 0xc1), RAN);
    assert_int_equal(gpr()[RAX], 4);
    assert_true(flags_zf(fx.cpu));
    feature_set(&fx.model.features, FEAT_LZCNT, true);
    feature_set(&fx.model.features, FEAT_BMI1, true);
    feature_set(&fx.model.features, FEAT_LAHF64, false);
    assert_int_equal(fx_run(0x9f), EXC_UD);
    feature_set(&fx.model.features, FEAT_LAHF64, true);
}

static void identification(void **state)
{
    uint64_t t;

    (void)state;
    fx_mode64(3);
    gpr()[RAX] = 0xffffffff00000000;
    assert_int_equal(fx_run(0x0f, 0xa2), RAN);
    assert_int_equal(gpr()[RAX], 0x16);
    fx.cpu->s.tsc_aux = 0x12345;
    assert_int_equal(fx_run(0xf3, 0x0f, 0xc7, 0xf9), RAN); /* rdpid rcx */
    assert_int_equal(gpr()[RCX], 0x12345);
    assert_int_equal(fx_run(0x0f, 0x01, 0xf9), RAN); /* rdtscp */
    assert_int_equal(gpr()[RCX], 0x12345);
    t = gpr()[RDX] << 32 | gpr()[RAX];
    assert_int_equal(fx_run(0x0f, 0x31), RAN);
    assert_true((gpr()[RDX] << 32 | gpr()[RAX]) >= t);
    assert_int_equal(fx_run(0x0f, 0x33), EXC_GP); /* rdpmc */
    fx.cpu->s.cr4 |= CR4_TSD;
    assert_int_equal(fx_run(0x0f, 0x31), EXC_GP);
    fx_mode64(0);
    fx.cpu->s.cr4 |= CR4_TSD;
    assert_int_equal(fx_run(0x0f, 0x31), RAN);
    fx_mode64(3);
    flags_set(fx.cpu, FLAG_1 | FLAGS_STATUS);
    gpr()[RAX] = gpr()[RCX] = 0;
    assert_int_equal(fx_run(0x48, 0x0f, 0xc7, 0xf0), RAN); /* rdrand rax */
    assert_int_equal(flags_get(fx.cpu), FLAG_1 | FLAG_CF);
    assert_int_equal(fx_run(0x48, 0x0f, 0xc7, 0xf9), RAN); /* rdseed rcx */
    assert_int_not_equal(gpr()[RAX], gpr()[RCX]);
    gpr()[RAX] = ~0ull;
    assert_int_equal(fx_run(0x66, 0x0f, 0xc7, 0xf0), RAN);
    assert_int_equal(gpr()[RAX] >> 16, ~0ull >> 16);
    assert_int_equal(fx_run(0x0f, 0x0b), EXC_UD);
}

static int start(void **state)
{
    int r = fx_setup(state);

    fx.model.tsc_hz = 1000000000;
    fx.model.tsc_ratio = 1ull << 48;
    return r;
}

/* PAUSE counts, towards giving the core away; a NOP that looks like it does
   not. */
static void pauses(void **state)
{
    uint32_t before;

    (void)state;
    fx_mode64(3);
    before = fx.cpu->pauses;
    assert_int_equal(fx_run(0xf3, 0x90), RAN);
    assert_int_equal(fx_run(0xf3, 0x41, 0x90), RAN);
    assert_int_equal(fx_run(0x66, 0x90), RAN);
    assert_int_equal(fx.cpu->pauses, before + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(string_faults),
        cmocka_unit_test(string_faults_down),
        cmocka_unit_test(string_wraps),
        cmocka_unit_test(string_limits),
        cmocka_unit_test(string_interrupted),
        cmocka_unit_test(string_of_nothing),
        cmocka_unit_test(ports),
        cmocka_unit_test(locked),
        cmocka_unit_test(lost_race),
        cmocka_unit_test(locked_faults),
        cmocka_unit_test(decimal),
        cmocka_unit_test(quotients),
        cmocka_unit_test(bounds),
        cmocka_unit_test(translate),
        cmocka_unit_test(direct_store),
        cmocka_unit_test(old_scans),
        cmocka_unit_test(identification),
        cmocka_unit_test(pauses),
    };

    return cmocka_run_group_tests(tests, start, fx_teardown);
}
