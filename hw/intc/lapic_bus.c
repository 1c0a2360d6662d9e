/* Who gets a message: destinations, arbitration, IPIs and MSIs. */
#include "hw/intc/lapic_int.h"

enum { ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15 };
enum shorthand { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

/* MSI address and data (SDM, "Message Signalled Interrupts") */
enum {
    MSI_LOGICAL = 1 << 2,
    MSI_REDIRECT = 1 << 3,
    MSI_ASSERT = 1 << 14,
    MSI_LEVEL = 1 << 15
};
#define MSI_BASE 0xfee00000ull

static uint32_t x2_ldr(const struct lapic *l)
{
    return (l->cpu >> 4) << 16 | BIT(l->cpu & 15);
}

static bool logical_match(const struct lapic *l, uint32_t dest)
{
    uint32_t ldr;

    if (lapic_x2(l)) {
        ldr = x2_ldr(l);
        return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
    }
    if (dest > 0xff)
        return false;
    ldr = l->ldr >> 24;
    if (l->dfr >> 28 == 0xf) /* flat */
        return ldr & dest;
    return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
}

static bool matches(const struct lapic *l, const struct apic_message *m)
{
    if (!lapic_on(l))
        return false;
    if (m->broadcast)
        return true;
    if (m->logical)
        return logical_match(l, m->dest);
    return m->dest == (lapic_x2(l) ? l->cpu : l->id);
}

/* The focus processor: it has the vector in service or pending already. */
static bool is_focus(const struct lapic *l, unsigned vector)
{
    return !(l->svr & SVR_NO_FOCUS) &&
           (vector_in(&l->isr, vector) || vector_in(&l->irr, vector));
}

static struct lapic *arbitrate(struct apic_bus *bus,
                               const struct apic_message *m,
                               const struct lapic *except)
{
    struct lapic *best = NULL;
    unsigned best_apr = ~0u;

    for (unsigned i = 0; i < bus->size; i++) {
        struct lapic *l = bus->cpu[(bus->turn + i) % bus->size];

        if (!l || l == except || !matches(l, m) || !(l->svr & SVR_ENABLE))
            continue;
        if (is_focus(l, m->vector))
            return l;

        unsigned apr = lapic_apr(l);

        if (apr < best_apr) {
            best = l;
            best_apr = apr;
        }
    }
    if (best)
        bus->turn = best->cpu + 1;
    return best;
}

static void deliver(struct apic_bus *bus, const struct apic_message *m,
                    const struct lapic *except)
{
    if (m->mode == DM_LOWEST) {
        struct lapic *l = arbitrate(bus, m, except);

        if (l)
            lapic_accept(l, m);
        return;
    }
    if (!m->logical && !m->broadcast && !bus->ids_changed) {
        struct lapic *l = m->dest < bus->size ? bus->cpu[m->dest] : NULL;

        if (l && matches(l, m))
            lapic_accept(l, m);
        return;
    }
    for (unsigned i = 0; i < bus->size; i++) {
        struct lapic *l = bus->cpu[i];

        if (l && l != except && matches(l, m))
            lapic_accept(l, m);
    }
}

void lapic_send(struct lapic *l, uint32_t low, uint32_t high)
{
    struct apic_message m = {
        .mode = bits(low, 10, 8),
        .vector = low & 0xff,
        .logical = low & ICR_LOGICAL,
        .dest = lapic_x2(l) ? high : high >> 24,
    };

    m.broadcast = m.dest == (lapic_x2(l) ? ~0u : 0xff);
    if (m.mode == DM_RESERVED || m.mode == DM_EXTINT)
        return;
    if (m.mode <= DM_LOWEST && m.vector < 16) {
        lapic_error(l, ESR_SEND_ILLEGAL);
        return;
    }
    /* INIT level de-assert: nothing to do since the Pentium 4. */
    if (m.mode == DM_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
        return;
    switch ((enum shorthand)bits(low, 19, 18)) {
    case TO_DEST: deliver(l->bus, &m, NULL); break;
    case TO_SELF: lapic_accept(l, &m); break;
    case TO_ALL:
        m.broadcast = true;
        deliver(l->bus, &m, NULL);
        break;
    case TO_OTHERS:
        m.broadcast = true;
        deliver(l->bus, &m, l);
        break;
    }
}

/* The engine knows who is meant. */
static void remote_send(void *ctx, uint64_t address, uint32_t data)
{
    const struct engine_apics *a = ctx;

    if ((address & ~0xfffffull) == MSI_BASE)
        a->message(a->ctx, address, data);
}

static void msi_send(void *ctx, uint64_t address, uint32_t data)
{
    struct apic_message m = {
        .dest = bits(address, 19, 12),
        .logical = address & MSI_LOGICAL,
        .level = data & MSI_LEVEL,
        .mode = bits(data, 10, 8),
        .vector = data & 0xff,
    };

    if ((address & ~0xfffffull) != MSI_BASE || m.mode == DM_RESERVED ||
        m.mode == DM_SIPI)
        return;
    if (m.level && !(data & MSI_ASSERT))
        return;
    m.broadcast = m.dest == 0xff;
    if (m.mode == DM_FIXED && (address & MSI_REDIRECT))
        m.mode = DM_LOWEST;
    deliver(ctx, &m, NULL);
}

/* The 8259s' INTR and NMI go to LINT0 and LINT1 of all CPUs. */
static void pins_set(void *ctx, unsigned n, bool level)
{
    struct apic_bus *bus = ctx;

    for (unsigned i = 0; i < bus->size; i++)
        if (bus->cpu[i])
            lapic_pin(bus->cpu[i], n, level);
}

int lapic_bus_join(struct lapic *l, struct err *e)
{
    struct env *env = l->dev.env;

    if (l->cpu >= MIN(env->ncpus, LAPIC_MAX_CPUS))
        return err_set(e, LE_RANGE, "no local APIC for CPU %u", l->cpu);
    if (!env->apics) {
        env->apics = host_alloc(sizeof *env->apics);
        if (!env->apics)
            return err_set(e, LE_NOMEM, "no memory for the local APICs");
        env->apics->size = MIN(env->ncpus, LAPIC_MAX_CPUS);
        env->msi = (struct msi_sink){msi_send, env->apics};
        if (env->engine_apics.message)
            env->msi = (struct msi_sink){remote_send, &env->engine_apics};
        env->pic_intr = (struct irq){pins_set, env->apics, 0};
        env->nmi = (struct irq){pins_set, env->apics, 1};
    }
    if (env->apics->cpu[l->cpu])
        return err_set(e, LE_USAGE, "CPU %u has two local APICs", l->cpu);
    l->bus = env->apics;
    l->bus->cpu[l->cpu] = l;
    l->bus->count++;
    return 0;
}

void lapic_bus_leave(struct lapic *l)
{
    struct env *env = l->dev.env;

    l->bus->cpu[l->cpu] = NULL;
    if (--l->bus->count)
        return;
    host_free(env->apics);
    env->apics = NULL;
    env->msi = (struct msi_sink){0};
    env->pic_intr = env->nmi = (struct irq){0};
}
