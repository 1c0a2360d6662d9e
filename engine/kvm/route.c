/*
 * The table that KVM sends interrupts by (KVM_SET_GSI_ROUTING). Its first
 * entries are the level-triggered messages that the IOAPIC was seen to send,
 * see irqchip.c, or the wires of the kernel's own chips. The others are routes
 * (struct msi_routes): each has an eventfd that KVM waits at, and one write()
 * to that sends the message.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "engine/kvm/kvm.h"
#include "lodge/chips.h"
#include "lodge/host.h"

/* A route costs the process a descriptor. */
enum { ROUTES = 256, ENTRIES = KVM_LEVEL_ROUTES + ROUTES };
enum { DATA_LEVEL = 1 << 15 };

struct message {
    uint64_t address;
    uint32_t data;
};

struct msi_route {
    struct kvm_routes *all;
    int fd; /* -1: free */
    struct message m;
};

/* The machine lock guards everything but the descriptors in use. */
struct kvm_routes {
    struct kvm_vm *k;
    struct message level[KVM_LEVEL_ROUTES];
    unsigned levels, next_level;
    bool chips;    /* are the kernel's */
    unsigned most; /* of route[], as this KVM has it */
    struct msi_route route[ROUTES];
    _Atomic bool signalled; /* some route, since kvm_routes_settle() */
    union {
        struct kvm_irq_routing table;
        uint8_t bytes[sizeof(struct kvm_irq_routing) +
                      ENTRIES * sizeof(struct kvm_irq_routing_entry)];
    } u;
};

/* --- the table --- */

static void add(struct kvm_irq_routing *t, uint32_t gsi,
                const struct message *m)
{
    struct kvm_irq_routing_entry *to = &t->entries[t->nr++];

    *to =
        (struct kvm_irq_routing_entry){.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI};
    to->u.msi.address_lo = (uint32_t)m->address;
    to->u.msi.address_hi = (uint32_t)(m->address >> 32);
    to->u.msi.data = m->data;
}

static void wire(struct kvm_irq_routing *t, uint32_t gsi, uint32_t chip,
                 uint32_t pin)
{
    t->entries[t->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = {chip, pin},
    };
}

/* KVM looks for the 8254's acknowledgements at the last GSI of a pin. */
static void add_wires(struct kvm_irq_routing *t)
{
    for (unsigned n = 0; n < 16; n++)
        wire(t, KVM_GSI_PICS + n,
             n < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, n % 8);
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        wire(t, KVM_GSI_IOAPIC + n, KVM_IRQCHIP_IOAPIC, n);
    wire(t, KVM_GSI_PIT, KVM_IRQCHIP_PIC_MASTER, 0);
    wire(t, KVM_GSI_PIT, KVM_IRQCHIP_IOAPIC, 2);
}

static uint32_t gsi_of(const struct msi_route *r)
{
    return KVM_LEVEL_ROUTES + (uint32_t)(r - r->all->route);
}

static bool set_table(struct kvm_routes *a)
{
    struct kvm_irq_routing *t = &a->u.table;

    t->nr = t->flags = 0;
    if (a->chips)
        add_wires(t);
    for (unsigned n = 0; n < a->levels; n++)
        add(t, n, &a->level[n]);
    for (unsigned n = 0; n < a->most; n++)
        if (a->route[n].fd >= 0)
            add(t, gsi_of(&a->route[n]), &a->route[n].m);
    if (kvm_do(a->k->fd, KVM_SET_GSI_ROUTING, t) == 0)
        return true;
    host_log(LOG_WARN, "KVM_SET_GSI_ROUTING: %s", strerror(errno));
    return false;
}

/* Full: the oldest goes. There are 24 pins, so it has long been replaced. */
void kvm_learn_level(struct kvm_vm *k, uint64_t address, uint32_t data)
{
    struct kvm_routes *a = k->routes;

    for (unsigned n = 0; n < a->levels; n++)
        if (a->level[n].address == address && a->level[n].data == data)
            return;
    a->level[a->next_level] = (struct message){address, data};
    a->next_level = (a->next_level + 1) % KVM_LEVEL_ROUTES;
    a->levels = MIN(a->levels + 1, KVM_LEVEL_ROUTES);
    set_table(a);
}

/* --- routes --- */

static bool bind(const struct msi_route *r, bool there)
{
    struct kvm_irqfd irq = {
        .fd = (uint32_t)r->fd,
        .gsi = gsi_of(r),
        .flags = there ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
    };

    return kvm_do(r->all->k->fd, KVM_IRQFD, &irq) == 0;
}

static void forget(struct msi_route *r)
{
    close(r->fd);
    r->fd = -1;
}

/* A message that is level-triggered must be known to be: see irqchip.c. */
static struct msi_route *route_open(void *ctx, uint64_t address, uint32_t data)
{
    struct kvm_routes *a = kvm_vm_of(ctx)->routes;
    struct msi_route *r = a->route;

    while (r < a->route + a->most && r->fd >= 0)
        r++;
    if (r == a->route + a->most || (data & DATA_LEVEL))
        return NULL;
    *r = (struct msi_route){
        a, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), {address, data}};
    if (r->fd < 0)
        return NULL;
    if (set_table(a) && bind(r, true))
        return r;
    forget(r);
    return NULL;
}

static bool route_aim(struct msi_route *r, uint64_t address, uint32_t data)
{
    struct message was = r->m;

    if (data & DATA_LEVEL)
        return false;
    r->m = (struct message){address, data};
    if (set_table(r->all))
        return true;
    r->m = was;
    return false;
}

/* It cannot be full: KVM empties it at once. */
static void route_signal(struct msi_route *r)
{
    uint64_t one = 1;

    atomic_store_explicit(&r->all->signalled, true, memory_order_relaxed);
    if (write(r->fd, &one, sizeof one) < 0)
        host_log(LOG_WARN, "a message of the guest's is lost: %s",
                 strerror(errno));
}

/* Its entry stays in KVM's table, where nothing comes to it any more, until
   the table is set for another. */
static void route_close(struct msi_route *r)
{
    bind(r, false);
    forget(r);
}

const struct msi_routes kvm_msi_routes = {route_open, route_aim, route_signal,
                                          route_close};

/*
 * KVM delivers at once where it can, else by a thread of its own, which
 * unbinding waits for. What is signalled in between stays in the eventfd.
 */
void kvm_routes_settle(struct kvm_vm *k)
{
    struct kvm_routes *a = k->routes;

    if (!atomic_exchange(&a->signalled, false))
        return;
    for (unsigned n = 0; n < a->most; n++)
        if (a->route[n].fd >= 0 &&
            (!bind(&a->route[n], false) || !bind(&a->route[n], true)))
            host_log(LOG_WARN, "KVM_IRQFD: %s", strerror(errno));
}

/* --- life --- */

int kvm_routes_open(struct kvm_vm *k, bool chips, struct err *e)
{
    struct kvm_routes *a = host_alloc(sizeof *a);

    if (!a)
        return err_set(e, LE_NOMEM, "no memory for the kvm engine");
    for (unsigned n = 0; n < ROUTES; n++)
        a->route[n].fd = -1;
    if (k->host.max_gsis > KVM_LEVEL_ROUTES && k->host.irqfd)
        a->most = MIN(k->host.max_gsis - KVM_LEVEL_ROUTES, ROUTES);
    a->k = k;
    a->chips = chips;
    k->routes = a;
    if (chips && !set_table(a))
        return err_set(e, LE_IO, "the host's KVM does not wire its chips: %s",
                       strerror(errno));
    return 0;
}

void kvm_routes_close(struct kvm_vm *k)
{
    struct kvm_routes *a = k->routes;

    for (unsigned n = 0; a && n < ROUTES; n++)
        if (a->route[n].fd >= 0)
            route_close(&a->route[n]);
    host_free(a);
    k->routes = NULL;
}
