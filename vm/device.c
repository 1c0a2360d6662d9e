/* The devices of a VM: made, found, reset, paused, undone. */
#include "base/libc.h"
#include "vm/internal.h"

static struct dev *dev_of(struct list *link)
{
    return container_of(link, struct dev, link);
}

struct dev *vm_find_device(struct vm *vm, const char *id)
{
    list_each(it,
              &vm->devices) if (!strcmp(dev_of(it)->id, id)) return dev_of(it);
    return NULL;
}

static int check_new(struct vm *vm, const struct dev_class *cls, const char *id,
                     struct err *e)
{
    if (vm->started)
        return err_set(e, LE_STATE,
                       "%s: devices cannot be added to a running VM", id);
    if (!*id)
        return err_set(e, LE_USAGE, "a device (%s) needs an id", cls->name);
    if (vm_find_device(vm, id))
        return err_set(e, LE_USAGE, "%s: there is a device of that id already",
                       id);
    return 0;
}

/* The id is kept behind the device's own bytes. */
static struct dev *dev_alloc(const struct dev_class *cls, const char *id)
{
    size_t n = strlen(id) + 1;
    struct dev *d = host_alloc(cls->size + n);

    if (!d)
        return NULL;
    memcpy((char *)d + cls->size, id, n);
    d->cls = cls;
    d->id = (char *)d + cls->size;
    list_init(&d->link);
    return d;
}

static int dev_attach(struct vm *vm, struct dev *d, struct err *e)
{
    int rc = 0;

    d->env = &vm->env;
    host_mutex_lock(&vm->lock);
    if (d->cls->attach)
        rc = d->cls->attach(d, d->env, e);
    if (!rc)
        list_append(&vm->devices, &d->link);
    host_mutex_unlock(&vm->lock);
    return rc;
}

struct dev *vm_add_device(struct vm *vm, const struct dev_class *cls,
                          const char *id, const struct prop_value *values,
                          struct err *e)
{
    struct dev *d;

    if (check_new(vm, cls, id, e))
        return NULL;
    d = dev_alloc(cls, id);
    if (!d) {
        err_set(e, LE_NOMEM, "%s: the host has no memory left", id);
        return NULL;
    }
    if (props_set(d, values, e) || dev_attach(vm, d, e)) {
        host_free(d);
        return NULL;
    }
    return d;
}

void devices_reset(struct vm *vm)
{
    list_each(it, &vm->devices) if (dev_of(it)->cls->reset) dev_of(it)
        ->cls->reset(dev_of(it), true);
}

void devices_pause(struct vm *vm)
{
    list_each(it, &vm->devices) if (dev_of(it)->cls->pause) dev_of(it)
        ->cls->pause(dev_of(it));
}

void devices_resume(struct vm *vm)
{
    list_each(it, &vm->devices) if (dev_of(it)->cls->resume) dev_of(it)
        ->cls->resume(dev_of(it));
}

bool devices_busy(struct vm *vm)
{
    list_each(it, &vm->devices) if (dev_of(it)->inflight) return true;
    return false;
}

/* Last first: a bus goes after what sits on it. */
void devices_detach(struct vm *vm)
{
    while (!list_empty(&vm->devices)) {
        struct dev *d = dev_of(vm->devices.prev);

        list_remove(&d->link);
        if (d->cls->detach)
            d->cls->detach(d);
        host_free(d);
    }
}
