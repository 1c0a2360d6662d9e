/* struct x86_state in and out of KVM. */
#include <string.h>

#include "engine/kvm/kvm.h"
#include "lodge/host.h"
#include "x86/tsc.h"

static int ask(struct kvm_cpu *c, unsigned long request, void *p)
{
    return kvm_do(c->fd, request, p) < 0 ? -LE_IO : 0;
}

/* --- general registers: those of struct kvm_regs in the order of gpr[] --- */

static const size_t gpr_at[16] = {
    offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx),
    offsetof(struct kvm_regs, rdx), offsetof(struct kvm_regs, rbx),
    offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
    offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi),
    offsetof(struct kvm_regs, r8),  offsetof(struct kvm_regs, r9),
    offsetof(struct kvm_regs, r10), offsetof(struct kvm_regs, r11),
    offsetof(struct kvm_regs, r12), offsetof(struct kvm_regs, r13),
    offsetof(struct kvm_regs, r14), offsetof(struct kvm_regs, r15),
};

static int get_regs(struct kvm_cpu *c, struct x86_state *s)
{
    struct kvm_regs r;

    if (ask(c, KVM_GET_REGS, &r))
        return -LE_IO;
    for (unsigned n = 0; n < 16; n++)
        memcpy(&s->gpr[n], (uint8_t *)&r + gpr_at[n], 8);
    s->rip = r.rip;
    s->rflags = r.rflags;
    return 0;
}

static int set_regs(struct kvm_cpu *c, const struct x86_state *s)
{
    struct kvm_regs r = {.rip = s->rip, .rflags = s->rflags};

    for (unsigned n = 0; n < 16; n++)
        memcpy((uint8_t *)&r + gpr_at[n], &s->gpr[n], 8);
    return ask(c, KVM_SET_REGS, &r);
}

/* --- segments, tables, control registers --- */

static struct x86_seg seg_from(const struct kvm_segment *k)
{
    struct x86_seg s = {.base = k->base, .limit = k->limit, .sel = k->selector};

    s.attr = (k->type & SEG_TYPE) | (k->s ? SEG_S : 0) |
             (uint32_t)(k->dpl & 3) << SEG_DPL_SHIFT |
             (k->present ? SEG_P : 0) | (k->avl ? SEG_AVL : 0) |
             (k->l ? SEG_L : 0) | (k->db ? SEG_DB : 0) | (k->g ? SEG_G : 0) |
             (k->unusable ? SEG_UNUSABLE : 0);
    return s;
}

static struct kvm_segment seg_to(const struct x86_seg *s)
{
    return (struct kvm_segment){
        .base = s->base,
        .limit = s->limit,
        .selector = s->sel,
        .type = s->attr & SEG_TYPE,
        .s = !!(s->attr & SEG_S),
        .dpl = (s->attr & SEG_DPL) >> SEG_DPL_SHIFT,
        .present = (s->attr & SEG_P) && !(s->attr & SEG_UNUSABLE),
        .avl = !!(s->attr & SEG_AVL),
        .l = !!(s->attr & SEG_L),
        .db = !!(s->attr & SEG_DB),
        .g = !!(s->attr & SEG_G),
        .unusable = !!(s->attr & SEG_UNUSABLE),
    };
}

/* struct kvm_sregs2 begins like struct kvm_sregs, up to apic_base. */
static void fill_segments(const struct kvm_sregs2 *r, struct x86_state *s)
{
    const struct kvm_segment *all[] = {&r->es, &r->cs, &r->ss,
                                       &r->ds, &r->fs, &r->gs};

    for (unsigned n = ES; n <= GS; n++)
        s->seg[n] = seg_from(all[n]);
    s->ldt = seg_from(&r->ldt);
    s->tr = seg_from(&r->tr);
    s->gdt = (struct x86_table){r->gdt.base, r->gdt.limit};
    s->idt = (struct x86_table){r->idt.base, r->idt.limit};
}

/* SREGS2 has the PDPTEs that the CPU loaded; before it they are read anew. */
static int read_sregs(struct kvm_cpu *c, struct kvm_sregs2 *r)
{
    struct kvm_sregs old;

    memset(r, 0, sizeof *r);
    if (c->vm->host.sregs2)
        return ask(c, KVM_GET_SREGS2, r);
    if (ask(c, KVM_GET_SREGS, &old))
        return -LE_IO;
    memcpy(r, &old, offsetof(struct kvm_sregs2, flags));
    return 0;
}

static uint8_t cpl_of(const struct x86_state *s, uint64_t rflags)
{
    if (!(s->cr0 & CR0_PE))
        return 0;
    if (rflags & FLAG_VM)
        return 3;
    return (s->seg[SS].attr & SEG_DPL) >> SEG_DPL_SHIFT;
}

static int get_sregs(struct kvm_cpu *c, struct x86_state *s)
{
    struct kvm_xcrs xcrs = {0};
    struct kvm_sregs2 r;
    struct kvm_regs regs;

    if (read_sregs(c, &r) || ask(c, KVM_GET_REGS, &regs))
        return -LE_IO;
    fill_segments(&r, s);
    s->cr0 = r.cr0;
    s->cr2 = r.cr2;
    s->cr3 = r.cr3;
    s->cr4 = r.cr4;
    s->efer = r.efer;
    memcpy(s->pdpte, r.pdptrs, sizeof s->pdpte);
    s->cpl = cpl_of(s, regs.rflags);
    s->xcr0 = XCR0_X87;
    if (!ask(c, KVM_GET_XCRS, &xcrs))
        for (unsigned n = 0; n < xcrs.nr_xcrs && n < KVM_MAX_XCRS; n++)
            if (xcrs.xcrs[n].xcr == 0)
                s->xcr0 = xcrs.xcrs[n].value;
    return 0;
}

static int set_xcr0(struct kvm_cpu *c, const struct x86_state *s)
{
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0}}};

    if (!feature_has(&c->v->model->features, FEAT_XSAVE))
        return 0;
    xcrs.xcrs[0].value = s->xcr0;
    return ask(c, KVM_SET_XCRS, &xcrs);
}

/* The APIC's base and CR8 are in there, too: they are the APIC's. */
static int set_sregs(struct kvm_cpu *c, const struct x86_state *s)
{
    struct kvm_sregs r;

    if (ask(c, KVM_GET_SREGS, &r))
        return -LE_IO;
    r.es = seg_to(&s->seg[ES]);
    r.cs = seg_to(&s->seg[CS]);
    r.ss = seg_to(&s->seg[SS]);
    r.ds = seg_to(&s->seg[DS]);
    r.fs = seg_to(&s->seg[FS]);
    r.gs = seg_to(&s->seg[GS]);
    r.ldt = seg_to(&s->ldt);
    r.tr = seg_to(&s->tr);
    r.gdt = (struct kvm_dtable){.base = s->gdt.base, .limit = s->gdt.limit};
    r.idt = (struct kvm_dtable){.base = s->idt.base, .limit = s->idt.limit};
    r.cr0 = s->cr0;
    r.cr2 = s->cr2;
    r.cr3 = s->cr3;
    r.cr4 = s->cr4;
    r.efer = s->efer;
    memset(r.interrupt_bitmap, 0, sizeof r.interrupt_bitmap);
    if (ask(c, KVM_SET_SREGS, &r))
        return -LE_IO;
    return set_xcr0(c, s);
}

/* --- debug registers --- */

static int get_debug(struct kvm_cpu *c, struct x86_state *s)
{
    struct kvm_debugregs d;

    if (ask(c, KVM_GET_DEBUGREGS, &d))
        return -LE_IO;
    memset(s->dr, 0, sizeof s->dr);
    memcpy(s->dr, d.db, sizeof d.db);
    s->dr[6] = d.dr6;
    s->dr[7] = d.dr7;
    return 0;
}

static int set_debug(struct kvm_cpu *c, const struct x86_state *s)
{
    struct kvm_debugregs d = {.dr6 = s->dr[6], .dr7 = s->dr[7]};

    memcpy(d.db, s->dr, sizeof d.db);
    return ask(c, KVM_SET_DEBUGREGS, &d);
}

/* --- events in progress --- */

static int get_events(struct kvm_cpu *c, struct x86_state *s)
{
    struct kvm_vcpu_events ev;
    struct kvm_mp_state mp;

    if (ask(c, KVM_GET_VCPU_EVENTS, &ev) || ask(c, KVM_GET_MP_STATE, &mp))
        return -LE_IO;
    s->sti_shadow = ev.interrupt.shadow & KVM_X86_SHADOW_INT_STI;
    s->movss_shadow = ev.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
    s->nmi_blocked = ev.nmi.masked;
    s->in_smm = (ev.flags & KVM_VCPUEVENT_VALID_SMM) && ev.smi.smm;
    s->pending_db = 0;
    switch (mp.mp_state) {
    case KVM_MP_STATE_HALTED: s->activity = CPU_HALTED; break;
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED: s->activity = CPU_WAIT_SIPI; break;
    default: s->activity = CPU_RUNNING;
    }
    return 0;
}

static int set_events(struct kvm_cpu *c, const struct x86_state *s)
{
    struct kvm_vcpu_events ev = {.flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
                                          KVM_VCPUEVENT_VALID_SHADOW};
    struct kvm_mp_state mp = {KVM_MP_STATE_RUNNABLE};

    ev.nmi.masked = s->nmi_blocked;
    ev.interrupt.shadow = (s->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
                          (s->movss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0);
    if (s->activity == CPU_HALTED)
        mp.mp_state = KVM_MP_STATE_HALTED;
    if (s->activity == CPU_WAIT_SIPI)
        mp.mp_state = KVM_MP_STATE_INIT_RECEIVED;
    if (ask(c, KVM_SET_VCPU_EVENTS, &ev))
        return -LE_IO;
    return ask(c, KVM_SET_MP_STATE, &mp);
}

/* --- the groups --- */

static const struct {
    uint32_t group;
    int (*get)(struct kvm_cpu *c, struct x86_state *s);
    int (*set)(struct kvm_cpu *c, const struct x86_state *s);
} groups[] = {
    /* Modes before what depends on them. */
    {STATE_SREGS, get_sregs, set_sregs},
    {STATE_REGS, get_regs, set_regs},
    {STATE_FPU, kvm_get_fpu, kvm_set_fpu},
    {STATE_MSRS, kvm_get_msrs, kvm_set_msrs},
    {STATE_DEBUG, get_debug, set_debug},
    {STATE_EVENTS, get_events, set_events},
};

int kvm_get(struct vcpu *v, struct x86_state *s, uint32_t which)
{
    for (unsigned n = 0; n < ARRAY_LEN(groups); n++)
        if ((which & groups[n].group) && groups[n].get(kvm_cpu_of(v), s))
            return -LE_IO;
    return 0;
}

int kvm_set(struct vcpu *v, const struct x86_state *s, uint32_t which)
{
    struct kvm_cpu *c = kvm_cpu_of(v);

    for (unsigned n = 0; n < ARRAY_LEN(groups); n++)
        if ((which & groups[n].group) && groups[n].set(c, s)) {
            host_log(LOG_WARN, "CPU %u: KVM does not take state group %u",
                     v->id, n);
            return -LE_IO;
        }
    c->injected = false;
    return 0;
}
