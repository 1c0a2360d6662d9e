/*
 * Is there a /dev/kvm that runs stock guests? Some hosts offer one without
 * vmx or svm in their CPU's flags: a KVM that works by page tables alone and
 * runs paravirtual guests only. It emulates real mode, but a 64-bit kernel as
 * it comes hangs there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bits.h"
#include "engine/kvm/kvm.h"
#include "x86/hostcpu.h"

#define DEVICE "/dev/kvm"

int kvm_do(int fd, unsigned long request, void *arg)
{
    int rc;

    do
        rc = ioctl(fd, request, arg);
    while (rc < 0 && errno == EINTR);
    return rc;
}

int kvm_do_value(int fd, unsigned long request, unsigned long value)
{
    return kvm_do(fd, request, (void *)value);
}

static int extension(int fd, long cap)
{
    return kvm_do_value(fd, KVM_CHECK_EXTENSION, (unsigned long)cap);
}

/* vmx (leaf 1) or svm (leaf 0x80000001): what the kernel shows as CPU flags. */
static bool has_virtualization(void)
{
    if (hostcpu_id(1, 0).ecx >> 5 & 1)
        return true;
    return hostcpu_id(0x80000000, 0).eax >= 0x80000001 &&
           (hostcpu_id(0x80000001, 0).ecx >> 2 & 1);
}

/* Does the kernel say that the firmware or the CPU keeps KVM out? */
static bool has_module(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/sys/module/%s", name);
    return access(path, F_OK) == 0;
}

static int open_failed(struct err *e)
{
    switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        if (!has_virtualization())
            return err_set(e, LE_UNSUPPORTED,
                           "this host has no hardware virtualization (no vmx "
                           "or svm in its CPU flags); the jit engine needs "
                           "none");
        if (has_module("kvm"))
            return err_set(e, LE_NOENT,
                           "the CPU has virtualization but " DEVICE
                           " is missing; load kvm-intel or kvm-amd, and "
                           "switch virtualization on in the firmware");
        return err_set(e, LE_NOENT,
                       DEVICE " is missing; load the module kvm-intel or "
                              "kvm-amd, or pass the device to this container");
    case EACCES:
    case EPERM:
        return err_set(e, LE_ACCESS,
                       "no permission to open " DEVICE
                       "; join its group ('sudo usermod -aG kvm $USER', then "
                       "log in again)");
    case EBUSY:
        return err_set(e, LE_BUSY,
                       DEVICE " is busy; another hypervisor has the CPU's "
                              "virtualization, end it first");
    default: return err_set(e, LE_IO, DEVICE ": %s", strerror(errno));
    }
}

/* What we cannot do without; all are there since Linux 4.4 or so. */
static const struct {
    long cap;
    const char *what;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "user memory"},
    {KVM_CAP_READONLY_MEM, "read-only memory"},
    {KVM_CAP_SPLIT_IRQCHIP, "split interrupt controllers"},
    {KVM_CAP_SIGNAL_MSI, "message interrupts"},
    {KVM_CAP_EXT_CPUID, "CPUID"},
    {KVM_CAP_MP_STATE, "CPU states"},
    {KVM_CAP_VCPU_EVENTS, "CPU events"},
    {KVM_CAP_DEBUGREGS, "debug registers"},
    {KVM_CAP_XSAVE, "XSAVE"},
    {KVM_CAP_XCRS, "XCRs"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exits"},
    {KVM_CAP_IOEVENTFD, "doorbells"},
};

static int check_age(int fd, struct err *e)
{
    int version = kvm_do_value(fd, KVM_GET_API_VERSION, 0);

    if (version != KVM_API_VERSION)
        return err_set(e, LE_UNSUPPORTED,
                       DEVICE " speaks version %d of its interface, not %d; a "
                              "kernel of this century has it",
                       version, KVM_API_VERSION);
    for (unsigned n = 0; n < ARRAY_LEN(needed); n++)
        if (extension(fd, needed[n].cap) <= 0)
            return err_set(e, LE_UNSUPPORTED,
                           "the host's KVM is too old: it lacks %s; run Linux "
                           "4.13 or later",
                           needed[n].what);
    return 0;
}

static int read_cpuid(struct kvm_host *h, struct err *e)
{
    enum { MOST = 256 };

    h->cpuid = calloc(1, sizeof *h->cpuid + MOST * sizeof h->cpuid->entries[0]);
    if (!h->cpuid)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    h->cpuid->nent = MOST;
    if (kvm_do(h->fd, KVM_GET_SUPPORTED_CPUID, h->cpuid) < 0)
        return err_set(e, LE_UNSUPPORTED,
                       DEVICE " does not say what CPUs it supports: %s",
                       strerror(errno));
    return 0;
}

static int look(struct kvm_host *h, struct err *e)
{
    int slots, rc = check_age(h->fd, e);

    if (rc)
        return rc;
    h->run_size = kvm_do_value(h->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (h->run_size < (int)sizeof(struct kvm_run))
        return err_set(e, LE_UNSUPPORTED, DEVICE " has vCPUs of %d bytes",
                       h->run_size);
    slots = extension(h->fd, KVM_CAP_NR_MEMSLOTS);
    h->max_slots = (unsigned)MAX(32, MIN(slots, 512));
    h->late_page = extension(h->fd, KVM_CAP_COALESCED_MMIO);
    if ((h->late_page + 1) * (int)PAGE_SIZE > h->run_size)
        h->late_page = 0;
    h->any_length = extension(h->fd, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
    h->max_gsis = (unsigned)MAX(0, extension(h->fd, KVM_CAP_IRQ_ROUTING));
    h->chips = extension(h->fd, KVM_CAP_IRQCHIP) > 0 &&
               extension(h->fd, KVM_CAP_PIT2) > 0 &&
               extension(h->fd, KVM_CAP_PIT_STATE2) > 0;
    h->irqfd = extension(h->fd, KVM_CAP_IRQFD) > 0;
    h->tsc_deadline = extension(h->fd, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
#ifdef KVM_CAP_SREGS2
    h->sregs2 = extension(h->fd, KVM_CAP_SREGS2) > 0;
#endif
    h->tsc_attr = extension(h->fd, KVM_CAP_VCPU_ATTRIBUTES) > 0;
    h->msr_exits = extension(h->fd, KVM_CAP_X86_USER_SPACE_MSR) > 0;
    h->msr_filter = extension(h->fd, KVM_CAP_X86_MSR_FILTER) > 0;
    h->stats = extension(h->fd, KVM_CAP_BINARY_STATS_FD) > 0;
    h->hyperv_synic = extension(h->fd, KVM_CAP_HYPERV_SYNIC2) > 0;
    h->hyperv_cpuid = extension(h->fd, KVM_CAP_SYS_HYPERV_CPUID) > 0;
    return read_cpuid(h, e);
}

int kvm_host_open(struct kvm_host *h, struct err *e)
{
    int rc;

    *h = (struct kvm_host){.fd = open(DEVICE, O_RDWR | O_CLOEXEC)};
    if (h->fd < 0)
        return open_failed(e);
    rc = look(h, e);
    if (rc)
        kvm_host_close(h);
    return rc;
}

void kvm_host_close(struct kvm_host *h)
{
    if (h->fd >= 0)
        close(h->fd);
    free(h->cpuid);
    *h = (struct kvm_host){.fd = -1};
}

/* Another hypervisor may have the CPU: only making a VM tells. */
static int try_vm(struct kvm_host *h, struct err *e)
{
    int fd = kvm_do_value(h->fd, KVM_CREATE_VM, 0);

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno == EBUSY)
        return open_failed(e);
    return err_set(e, LE_UNSUPPORTED, DEVICE " makes no virtual machine: %s",
                   strerror(errno));
}

int kvm_probe(struct engine_caps *out)
{
    struct kvm_host h;
    struct err e = {0};
    int rc;

    *out = (struct engine_caps){0};
    rc = kvm_host_open(&h, &e);
    if (!rc) {
        rc = try_vm(&h, &e);
        kvm_host_close(&h);
    }
    if (rc) {
        snprintf(out->why, sizeof out->why, "%.*s", (int)sizeof out->why - 1,
                 e.text);
        return rc;
    }
    out->stock_guests = has_virtualization();
    if (!out->stock_guests)
        snprintf(out->why, sizeof out->why,
                 "for paravirtual guests only: " DEVICE
                 " is there, but not vmx or svm in the CPU flags; use jit, or "
                 "a host with nested virtualization");
    return 0;
}
