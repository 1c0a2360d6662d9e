/*
 * Hyper-V's interface (Hypervisor Top Level Functional Specification), as KVM
 * implements it: Windows then needs no legacy timers and no exits to tell the
 * time. Asked for with --cpu …,+hyperv.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kvm/kvm.h"

#define HV_LEAF 0x40000000u

enum { MOST_LEAVES = 16 };

struct hv_table {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entry[MOST_LEAVES];
};

/* 0x40000003 EAX: VP runtime, reference counter, synthetic interrupts and
   timers, APIC MSRs, hypercalls, VP index, reference TSC, frequencies. */
enum {
    EAX_OFFER = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 |
                1 << 9 | 1 << 11,
    EDX_OFFER = 1 << 8 /* frequency MSRs */ | 1 << 19 /* direct timers */,
};
/* 0x40000004 EAX: remote TLB flushes and IPIs by hypercall, APIC by MSR,
   relaxed timing, processor masks. */
enum {
    HINTS_OFFER = 1 << 2 | 1 << 3 | 1 << 5 | 1 << 10 | 1 << 11,
    SPIN_RETRIES = 0xfff,
};

bool kvm_hyperv_usable(const struct kvm_host *h)
{
    return h->hyperv_cpuid && h->hyperv_synic;
}

int kvm_hyperv_open(struct kvm_cpu *c, struct err *e)
{
    struct kvm_enable_cap synic = {.cap = KVM_CAP_HYPERV_SYNIC2};

    if (kvm_do(c->fd, KVM_ENABLE_CAP, &synic) < 0)
        return err_set(e, LE_UNSUPPORTED,
                       "--cpu: the host's KVM gives no Hyper-V interrupt "
                       "controller: %s; leave +hyperv out",
                       strerror(errno));
    return 0;
}

/* What of a leaf that KVM supports is offered. */
static void choose(struct kvm_cpuid_entry2 *e)
{
    switch (e->function) {
    case HV_LEAF:
        e->eax = HV_LEAF + 5;
        memcpy(&e->ebx, "Micr", 4);
        memcpy(&e->ecx, "osof", 4);
        memcpy(&e->edx, "t Hv", 4);
        break;
    case HV_LEAF + 3:
        e->eax &= EAX_OFFER;
        e->ebx = 1 << 4 | 1 << 5; /* post messages, signal events */
        e->ecx = 0;
        e->edx &= EDX_OFFER;
        break;
    case HV_LEAF + 4:
        e->eax &= HINTS_OFFER;
        e->ebx = SPIN_RETRIES;
        e->ecx = e->edx = 0;
        break;
    case HV_LEAF + 5:
        e->eax = 240; /* virtual processors, at most */
        e->ebx = 0;
        break;
    default: break;
    }
}

unsigned kvm_hyperv_cpuid(struct kvm_cpu *c, struct kvm_cpuid_entry2 *to,
                          unsigned room)
{
    struct hv_table t;
    unsigned n = 0;

    memset(&t, 0, sizeof t);
    t.head.nent = MOST_LEAVES;
    if (kvm_do(c->vm->host.fd, KVM_GET_SUPPORTED_HV_CPUID, &t) < 0)
        return 0;
    for (unsigned k = 0; k < t.head.nent && n < room; k++) {
        if (t.entry[k].function > HV_LEAF + 5)
            continue;
        choose(&t.entry[k]);
        to[n++] = t.entry[k];
    }
    return n;
}
