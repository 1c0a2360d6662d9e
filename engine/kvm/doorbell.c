/*
 * Doorbells (struct region_bells): the kernel notes a store in an eventfd and
 * the vCPU goes on at once; a thread of the VM's waits for them and tells the
 * device. There is such a thread once there is a bell.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "engine/kvm/kvm.h"
#include "lodge/host.h"

enum { BELLS = 256, STOP = BELLS, AT_ONCE = 16 };

struct bell {
    int fd; /* -1: free */
    struct region *r;
    uint64_t off;
    gpa_t address;
};

/* The machine lock guards bell[]; epoll, stop and thread are constant. */
struct kvm_doorbells {
    struct kvm_vm *k;
    struct host_mutex *lock; /* the machine lock */
    int epoll, stop;
    struct host_thread *thread;
    struct bell bell[BELLS];
};

/* Under the lock a bell that went meanwhile is seen to be gone, and one that
   came in its place has not been rung. */
static void answer(struct kvm_doorbells *d, uint32_t n)
{
    struct bell *b = &d->bell[n];
    uint64_t rung;

    host_mutex_lock(d->lock);
    kvm_settle(d->k->vm); /* the device may be about to read what they make */
    if (b->fd >= 0 && read(b->fd, &rung, sizeof rung) == sizeof rung)
        b->r->ops->write(b->r->dev, b->off, 0, b->r->bells.bytes);
    host_mutex_unlock(d->lock);
}

static void bell_thread(void *arg)
{
    struct kvm_doorbells *d = arg;
    struct epoll_event ev[AT_ONCE];

    for (;;) {
        int n = epoll_wait(d->epoll, ev, AT_ONCE, -1);

        for (int i = 0; i < n; i++) {
            if (ev[i].data.u32 == STOP)
                return;
            answer(d, ev[i].data.u32);
        }
    }
}

static bool wait_for(struct kvm_doorbells *d, int fd, uint32_t n)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = n};

    return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static void doorbells_free(struct kvm_doorbells *d)
{
    if (d->epoll >= 0)
        close(d->epoll);
    if (d->stop >= 0)
        close(d->stop);
    host_free(d);
}

static struct kvm_doorbells *doorbells_new(struct kvm_vm *k)
{
    struct kvm_doorbells *d = host_alloc(sizeof *d);

    if (!d)
        return NULL;
    for (unsigned n = 0; n < BELLS; n++)
        d->bell[n].fd = -1;
    d->k = k;
    d->lock = vm_vcpu(k->vm, 0)->lock;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    d->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->epoll >= 0 && d->stop >= 0 && wait_for(d, d->stop, STOP))
        d->thread = host_thread_start("lodge-bells", bell_thread, d);
    if (d->thread)
        return d;
    doorbells_free(d);
    return NULL;
}

/* Any width of store: the guest's driver chooses it. */
static int attach(struct kvm_vm *k, const struct bell *b, bool there)
{
    struct kvm_ioeventfd io = {
        .addr = b->address,
        .fd = b->fd,
        .flags = there ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
    };

    return kvm_do(k->fd, KVM_IOEVENTFD, &io);
}

static void remove_bell(struct kvm_doorbells *d, struct bell *b)
{
    attach(d->k, b, false);
    close(b->fd); /* epoll forgets it */
    b->fd = -1;
}

/* Where it does not work out the store comes as an exit, as any other. */
static void add_bell(struct kvm_doorbells *d, struct region *r, uint64_t off)
{
    struct bell *b = d->bell;

    while (b < d->bell + BELLS && b->fd >= 0)
        b++;
    if (b == d->bell + BELLS)
        return;
    *b = (struct bell){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), r, off,
                       r->base + off};
    if (b->fd < 0)
        return;
    if (attach(d->k, b, true) < 0) {
        close(b->fd);
        b->fd = -1;
    } else if (!wait_for(d, b->fd, (uint32_t)(b - d->bell))) {
        remove_bell(d, b);
    }
}

void kvm_bells(struct vm *vm, struct region *r, bool there)
{
    struct kvm_vm *k = kvm_vm_of(vm);

    if (r->late)
        kvm_late(k, r, there);
    if (!r->bells.count || !k->host.any_length)
        return;
    if (there && !k->doorbells)
        k->doorbells = doorbells_new(k);
    if (!k->doorbells)
        return;
    for (unsigned n = 0; there && n < r->bells.count; n++)
        add_bell(k->doorbells, r, r->bells.first + n * r->bells.step);
    for (unsigned n = 0; !there && n < BELLS; n++)
        if (k->doorbells->bell[n].fd >= 0 && k->doorbells->bell[n].r == r)
            remove_bell(k->doorbells, &k->doorbells->bell[n]);
}

void kvm_doorbells_close(struct kvm_vm *k)
{
    struct kvm_doorbells *d = k->doorbells;
    uint64_t one = 1;

    if (!d)
        return;
    if (write(d->stop, &one, sizeof one) < 0)
        host_log(LOG_ERROR, "doorbells: %s", strerror(errno));
    host_thread_join(d->thread);
    for (unsigned n = 0; n < BELLS; n++)
        if (d->bell[n].fd >= 0)
            remove_bell(d, &d->bell[n]);
    doorbells_free(d);
    k->doorbells = NULL;
}
