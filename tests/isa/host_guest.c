#include "host_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "x86/flags.h"
#include "x86/hostvec.h"
#include "x86/mem.h"

enum {
    RAM_BYTES = 1 << 20,
    TABLES = 0x1000,
    DATA_GPA = 0x10000,
};

static struct {
    struct cpu *cpu;
    struct vcpu vcpu;
    struct host_mutex lock;
    struct space *mem, *io;
    struct region ram;
    uint8_t *host;
} guest;

uint8_t *guest_data(void)
{
    return guest.host + DATA_GPA;
}

struct cpu *guest_cpu(void)
{
    return guest.cpu;
}

static void entry(unsigned table, uint64_t index, uint64_t value)
{
    store_le64(guest.host + TABLES + table * 0x1000 + (index & 511) * 8, value);
}

static void make_tables(void)
{
    entry(0, DATA >> 30 >> 9, (TABLES + 0x1000) | 7);
    entry(1, DATA >> 30, (TABLES + 0x2000) | 7);
    entry(2, DATA >> 21, (TABLES + 0x3000) | 7);
    for (unsigned p = 0; p <= DATA_PAGES; p++)
        entry(3, (DATA >> 12) + p,
              (DATA_GPA + p * 0x1000u) | (p < DATA_PAGES ? 7 : 5));
}

static void segment(unsigned n, uint16_t sel, uint32_t attr)
{
    guest.cpu->s.seg[n] = (struct x86_seg){0, 0xffffffff, attr, sel};
}

static void user_mode(void)
{
    struct x86_state *s = &guest.cpu->s;

    s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE |
             CR4_FSGSBASE | CR4_UMIP;
    s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    s->cr3 = TABLES;
    s->xcr0 = native_vector_bytes() == 64   ? 0xe7
              : native_vector_bytes() == 32 ? 7
                                            : 3;
    s->cpl = 3;
    s->rflags = FLAG_1 | FLAG_IF;
    guest_mode(false);
}

void guest_mode(bool compat)
{
    const uint32_t data = 0xc0f3;

    for (unsigned n = 0; n < 6; n++)
        segment(n, 0, data | SEG_UNUSABLE);
    segment(SS, USER_SS, data);
    if (compat) {
        segment(CS, USER_CS32, 0xc0fb);
        segment(DS, USER_SS, data);
        segment(ES, USER_SS, data);
    } else {
        segment(CS, USER_CS, 0xa0fb);
    }
    x86_mode_changed(guest.cpu);
}

bool guest_open(const struct cpu_model *model)
{
    struct err e = {0};
    struct cpu *c = aligned_alloc(64, (sizeof *c + 63) / 64 * 64);

    guest.host = aligned_alloc(0x1000, RAM_BYTES);
    if (!c || !guest.host)
        return false;
    memset(c, 0, sizeof *c);
    memset(guest.host, 0, RAM_BYTES);
    guest.cpu = c;
    host_mutex_init(&guest.lock);
    guest.mem = space_create(1ull << 40, &guest.lock);
    guest.io = space_create(65536, &guest.lock);
    guest.ram =
        (struct region){.name = "ram", .size = RAM_BYTES, .ram = guest.host};
    if (space_map(guest.mem, 0, &guest.ram, 0))
        return false;
    guest.vcpu.mem = guest.mem;
    guest.vcpu.io = guest.io;
    guest.vcpu.lock = &guest.lock;
    guest.vcpu.model = c->model = model;
    guest.vcpu.a20_mask = ~0ull;
    guest.vcpu.priv = c;
    c->vcpu = &guest.vcpu;
    c->delivering = -1;
    make_tables();
    tlb_flush_all(c);
    user_mode();
    if (hostvec_open(c, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return false;
    }
    return true;
}

static void load(const struct host_state *s)
{
    struct x86_state *x = &guest.cpu->s;

    memcpy(x->gpr, s->gpr, sizeof x->gpr);
    memcpy(x->fxsave, s->fx, 160);
    x->mxcsr = load_le32(s->fx + 24);
    memcpy(x->k, s->k, sizeof x->k);
    memcpy(x->zmm, s->zmm, sizeof x->zmm);
    x->seg[GS].base = s->gs_base;
    x->rip = CODE_AT;
    flags_set(guest.cpu, s->rflags);
    x86_mode_changed(guest.cpu); /* AC */
}

static void store(struct host_state *s)
{
    const struct x86_state *x = &guest.cpu->s;

    memcpy(s->gpr, x->gpr, sizeof x->gpr);
    memcpy(s->fx, x->fxsave, 160);
    store_le32(s->fx + 24, x->mxcsr);
    memcpy(s->k, x->k, sizeof x->k);
    memcpy(s->zmm, x->zmm, sizeof x->zmm);
    s->gs_base = x->seg[GS].base;
    s->rip = x->rip;
    s->rflags = flags_get(guest.cpu);
}

static void take_fault(struct host_fault *f)
{
    const struct x86_exception *e = &guest.cpu->exc;

    f->happened = true;
    f->vector = e->vector;
    f->error = e->has_error ? e->error : 0;
    f->address = e->cr2;
    if (!e->soft)
        guest.cpu->s.rip = CODE_AT;
}

/* Once; true: again, for the rest of a REP. */
static bool step(struct insn *i, struct host_fault *f)
{
    struct cpu *c = guest.cpu;
    bool ends = insn_opcode(i)->props & OP_ENDS;

    i->pos = 0;
    c->block_rip = CODE_AT;
    c->insn = i;
    c->unwind = UNWIND_NONE;
    if (ends)
        c->s.rip = CODE_AT + i->len;
    if (__builtin_setjmp(c->unwind_buf)) {
        if (guest.cpu->rmw_held)
            mem_rmw_end(guest.cpu);
        if (guest.cpu->unwind == UNWIND_RESTART)
            return guest.cpu->s.rip == CODE_AT;
        take_fault(f);
        return false;
    }
    x86_check_row(c, i);
    if (i->fn)
        i->fn(c, i);
    else
        x86_raise(c, EXC_UD);
    if (!ends)
        c->s.rip = CODE_AT + i->len;
    return false;
}

void guest_run(struct host_state *s, struct host_fault *f, struct insn *i)
{
    memset(f, 0, sizeof *f);
    load(s);
    while (step(i, f))
        ;
    store(s);
}
