/*
 * Messages to the local APICs, by a route where the engine offers one (struct
 * msi_routes). Setting a route up costs an engine far more than a message, and
 * some guests move their interrupts about: a message gets its route when it
 * comes for the second time running. What goes by it is exactly what would be
 * sent without, so masks and pending bits know nothing of routes.
 */
#include "hw/bus/pci_priv.h"

/* struct pci_vector.way */
enum { WAY_NONE, WAY_ONCE, WAY_ROUTE, WAY_MESSAGE };

static bool take_route(const struct engine_apics *a, struct pci_vector *v)
{
    if (!a->routes)
        return false;
    if (v->route)
        return a->routes->aim(v->route, v->address, v->data);
    v->route = a->routes->open(a->ctx, v->address, v->data);
    return v->route;
}

void pci_vector_send(struct env *env, struct pci_vector *v, uint64_t address,
                     uint32_t data)
{
    const struct engine_apics *a = &env->engine_apics;

    if (!env->msi.send)
        return;
    if (v && (v->way == WAY_NONE || v->address != address || v->data != data))
        *v = (struct pci_vector){address, data, WAY_ONCE, v->route};
    else if (v && v->way == WAY_ONCE)
        v->way = take_route(a, v) ? WAY_ROUTE : WAY_MESSAGE;
    if (v && v->way == WAY_ROUTE)
        a->routes->signal(v->route);
    else
        env->msi.send(env->msi.ctx, address, data);
}

void pci_vector_close(struct env *env, struct pci_vector *v)
{
    if (v->route)
        env->engine_apics.routes->close(v->route);
    *v = (struct pci_vector){0};
}
