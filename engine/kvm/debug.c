/*
 * A debugger outside the guest: KVM_SET_GUEST_DEBUG. Points take the CPU's four
 * debug registers; breakpoints beyond these are INT3 in guest memory, there
 * only while vCPUs run. What KVM then reports and is the guest's own goes back
 * to the guest.
 */
#include <errno.h>
#include <string.h>

#include "engine/kvm/kvm.h"
#include "lodge/host.h"

enum { EXC_DB = 1, EXC_BP = 3, INT3 = 0xcc, SLOTS = 4 };
enum { DR6_SLOTS = 0xf, DR7_NONE = 0x600 };
/* Linux 5.16; older ones ignore nothing, so it is asked for where known. */
#ifndef KVM_GUESTDBG_BLOCKIRQ
#define KVM_GUESTDBG_BLOCKIRQ 0x00100000
#endif
#ifndef KVM_CAP_SET_GUEST_DEBUG2
#define KVM_CAP_SET_GUEST_DEBUG2 195
#endif

/* --- who gets a debug register --- */

struct plan {
    unsigned n; /* registers in use */
    uint64_t address[SLOTS];
    const struct debug_point *point[SLOTS];
    uint64_t bits[SLOTS]; /* of DR7 */
    bool patched[DEBUG_POINTS];
};

/* DR7's fields of a kind and a length. */
static uint64_t slot_bits(unsigned n, const struct debug_point *p,
                          unsigned length)
{
    static const uint8_t kinds[] = {
        [DEBUG_CODE] = 0, [DEBUG_WRITE] = 1, [DEBUG_ACCESS] = 3};
    static const uint8_t lengths[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};

    return 2ull << 2 * n | (uint64_t)(kinds[p->kind] | lengths[length] << 2)
                               << (16 + 4 * n);
}

/* The largest aligned piece at a. */
static unsigned piece(gva_t a, uint64_t left)
{
    unsigned size = 8;

    while (size > left || a % size)
        size /= 2;
    return size;
}

static bool take_slots(struct plan *s, const struct debug_point *p)
{
    gva_t a = p->address, end = a + p->length;
    unsigned size;

    for (; a != end; a += size, s->n++) {
        if (s->n == SLOTS)
            return false;
        size = piece(a, end - a);
        s->address[s->n] = a;
        s->point[s->n] = p;
        s->bits[s->n] = slot_bits(s->n, p, size);
    }
    return true;
}

/* INT3 would do, where there is RAM that it can be put into. */
static bool may_patch(const struct vcpu *v, const struct debug_point *p)
{
    struct window w;

    return p->gpa != DEBUG_UNMAPPED && space_window(v->mem, p->gpa, &w) &&
           !w.readonly;
}

static bool is_software(const struct debug_point *p)
{
    return p->kind == DEBUG_CODE && !p->hardware;
}

/* Those that need a register first; INT3s are for when there is none left. */
static bool make_plan(const struct vcpu *v, const struct debug_points *p,
                      struct plan *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned n = 0; n < p->n; n++)
        if (!is_software(&p->point[n]) && !take_slots(s, &p->point[n]))
            return false;
    for (unsigned n = 0; n < p->n; n++) {
        if (!is_software(&p->point[n]) || take_slots(s, &p->point[n]))
            continue;
        if (!may_patch(v, &p->point[n]))
            return false;
        s->patched[n] = true;
    }
    return true;
}

int kvm_debug_check(struct vm *vm, const struct debug_points *p, struct err *e)
{
    struct plan s;

    for (unsigned n = 0; n < p->n; n++)
        if (p->point[n].kind == DEBUG_READ)
            return err_set(e, LE_UNSUPPORTED,
                           "a CPU cannot tell reads from other accesses");
    if (!make_plan(vm_vcpu(vm, 0), p, &s))
        return err_set(e, LE_RANGE, "a CPU has four debug registers");
    return 0;
}

/* --- INT3 --- */

static bool is_patched(const struct kvm_vm *k, gpa_t a)
{
    for (unsigned n = 0; n < k->patches; n++)
        if (k->patch[n].at == a)
            return true;
    return false;
}

static void put_patches(struct kvm_vm *k, const struct vcpu *v,
                        const struct debug_points *p)
{
    static const uint8_t int3 = INT3;
    struct plan s;

    /* kvm_debug_check() has seen that it can be made. */
    make_plan(v, p, &s);
    for (unsigned n = 0; n < p->n; n++) {
        struct kvm_patch *to = &k->patch[k->patches];
        gpa_t a = p->point[n].gpa;

        if (!s.patched[n] || is_patched(k, a) ||
            space_load(v->mem, a, &to->was, 1) ||
            space_store(v->mem, a, &int3, 1))
            continue;
        to->at = a;
        k->patches++;
    }
}

/* What the guest has overwritten meanwhile stays. */
static void drop_patches(struct kvm_vm *k, const struct vcpu *v)
{
    uint8_t now;

    while (k->patches) {
        const struct kvm_patch *p = &k->patch[--k->patches];

        if (!space_load(v->mem, p->at, &now, 1) && now == INT3)
            space_store(v->mem, p->at, &p->was, 1);
    }
}

/* --- to KVM --- */

/* A halted CPU is stepped by what wakes it. */
static bool may_block(struct kvm_cpu *c)
{
    struct kvm_mp_state mp = {0};
    int mask =
        kvm_do_value(c->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);

    return mask > 0 && (mask & KVM_GUESTDBG_BLOCKIRQ) &&
           !kvm_do(c->fd, KVM_GET_MP_STATE, &mp) &&
           mp.mp_state != KVM_MP_STATE_HALTED;
}

/* Debuggers may extend the sign of addresses that have but 32 bits. */
static uint64_t address_mask(struct kvm_cpu *c)
{
    struct kvm_sregs s;

    return kvm_do(c->fd, KVM_GET_SREGS, &s) == 0 && !(s.efer & EFER_LMA)
               ? UINT32_MAX
               : UINT64_MAX;
}

static void fill(struct kvm_cpu *c, const struct debug_points *p,
                 struct kvm_guest_debug *g)
{
    const struct vcpu_debug *d = &c->v->debug;
    uint64_t dr7 = DR7_NONE, mask = address_mask(c);
    struct plan s;

    g->control = KVM_GUESTDBG_ENABLE;
    if (c->vm->patches)
        g->control |= KVM_GUESTDBG_USE_SW_BP;
    if (d->step)
        g->control |= KVM_GUESTDBG_SINGLESTEP;
    if (d->step && d->held && may_block(c)) {
        g->control |= KVM_GUESTDBG_BLOCKIRQ;
        c->held = d->held;
    }
    make_plan(c->v, p, &s);
    for (unsigned n = 0; n < s.n; n++) {
        if (!d->step || s.point[n]->kind != DEBUG_CODE)
            dr7 |= s.bits[n];
        g->arch.debugreg[n] = s.address[n] & mask;
    }
    if (dr7 == DR7_NONE)
        return;
    g->control |= KVM_GUESTDBG_USE_HW_BP;
    g->arch.debugreg[7] = dr7;
}

int kvm_debug(struct vcpu *v, struct err *e)
{
    struct kvm_cpu *c = kvm_cpu_of(v);
    const struct debug_points *p = v->debug.points;
    struct kvm_guest_debug g = {0};

    if (!v->id)
        drop_patches(c->vm, v);
    if (!v->id && p)
        put_patches(c->vm, v, p);
    c->held = 0;
    if (p)
        fill(c, p, &g);
    if (kvm_do(c->fd, KVM_SET_GUEST_DEBUG, &g) < 0)
        return err_set(e, LE_UNSUPPORTED,
                       "the host's KVM does not let a guest be debugged: %s; "
                       "use --engine jit",
                       strerror(errno));
    return 0;
}

/* --- from KVM --- */

static bool stop(struct kvm_cpu *c, enum debug_why why,
                 const struct debug_point *p)
{
    c->v->debug.stop = (struct debug_stop){.why = (uint8_t)why};
    if (p)
        c->v->debug.stop = (struct debug_stop){.why = (uint8_t)why,
                                               .kind = p->kind,
                                               .hardware = p->hardware,
                                               .address = p->address};
    return false;
}

enum stop kvm_stepped(struct kvm_cpu *c)
{
    stop(c, DEBUG_STEPPED, NULL);
    return STOP_DEBUG;
}

/* KVM tells addresses as the mode has them. */
static const struct debug_point *patch_at(const struct debug_points *p,
                                          uint64_t pc)
{
    for (unsigned n = 0; n < p->n; n++) {
        gva_t a = p->point[n].address;

        if (is_software(&p->point[n]) && (a == pc || (uint32_t)a == pc))
            return &p->point[n];
    }
    return NULL;
}

bool kvm_raise(struct kvm_cpu *c, unsigned vector)
{
    struct kvm_vcpu_events ev;

    if (kvm_do(c->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
        return false;
    ev.exception.injected = 1;
    ev.exception.nr = (uint8_t)vector;
    ev.exception.has_error_code = 0;
    return kvm_do(c->fd, KVM_SET_VCPU_EVENTS, &ev) == 0;
}

/* The guest's own trap: its DR6 says of what kind. */
static bool give_back(struct kvm_cpu *c, uint64_t dr6)
{
    struct kvm_debugregs d;

    if (kvm_do(c->fd, KVM_GET_DEBUGREGS, &d) == 0) {
        d.dr6 = (d.dr6 & ~(uint64_t)DR6_SLOTS) |
                (dr6 & (DR6_SLOTS | DR6_BD | DR6_BS | DR6_BT));
        kvm_do(c->fd, KVM_SET_DEBUGREGS, &d);
    }
    return kvm_raise(c, EXC_DB);
}

bool kvm_debug_exit(struct kvm_cpu *c)
{
    const struct kvm_debug_exit_arch *x = &c->run->debug.arch;
    const struct vcpu_debug *d = &c->v->debug;
    const struct debug_point *p;
    struct plan s = {0};

    if (x->exception == EXC_BP) {
        p = d->points ? patch_at(d->points, x->pc) : NULL;
        return p ? stop(c, DEBUG_POINT, p) : kvm_raise(c, EXC_BP);
    }
    if (d->points)
        make_plan(c->v, d->points, &s);
    for (unsigned n = 0; n < s.n; n++)
        if ((x->dr6 >> n & 1) && (!d->step || s.point[n]->kind != DEBUG_CODE))
            return stop(c, DEBUG_POINT, s.point[n]);
    if (d->step && (x->dr6 & DR6_BS))
        return stop(c, DEBUG_STEPPED, NULL);
    return give_back(c, x->dr6);
}
