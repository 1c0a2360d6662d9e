/* The disks, CD-ROMs and floppies of `lodge run`. */
#include <stdio.h>
#include <string.h>

#include "cli/run.h"
#include "image/registry.h"

static const struct {
    const char *name;
    enum pc_bus bus;
    bool cdroms;
} buses[] = {{"virtio", PC_BUS_VIRTIO, false}, {"ide", PC_BUS_IDE, true}};

static int set_bus(struct run_disk *d, const char *v, struct err *e)
{
    const char *option = d->cdrom ? "--cdrom" : "--disk";

    for (unsigned n = 0; n < sizeof buses / sizeof buses[0]; n++)
        if (!strcmp(buses[n].name, v) && (buses[n].cdroms || !d->cdrom)) {
            d->bus = buses[n].bus;
            return 0;
        }
    return err_set(e, LE_USAGE, "%s: '%.40s' is none of its buses: %s", option,
                   v, d->cdrom ? "ide" : "virtio, ide");
}

static int set_path(struct run_disk *d, const char *v, const char *option,
                    struct err *e)
{
    if (!v[0] || strlen(v) >= sizeof d->path)
        return err_set(e, LE_USAGE, "%s: '%.40s' is no file name", option, v);
    strcpy(d->path, v);
    return 0;
}

int run_disk_field(void *ctx, const char *key, const char *v, struct err *e)
{
    struct run_disk *d = ctx;

    if (!key)
        return set_path(d, v, "--disk", e);
    if (!strcmp(key, "format") && v && v[0] && strlen(v) < sizeof d->format) {
        strcpy(d->format, v);
        return 0;
    }
    if (!strcmp(key, "bus") && v)
        return set_bus(d, v, e);
    if (!strcmp(key, "ro") && !v) {
        d->readonly = true;
        return 0;
    }
    if (!strcmp(key, "temporary") && !v) {
        d->temporary = true;
        return 0;
    }
    return err_set(e, LE_USAGE,
                   "--disk: '%s%s%s' is none of format=FORMAT, bus=BUS, ro, "
                   "temporary",
                   key, v ? "=" : "", v ? v : "");
}

int run_cdrom_field(void *ctx, const char *key, const char *v, struct err *e)
{
    struct run_disk *d = ctx;

    if (!key)
        return set_path(d, v, "--cdrom", e);
    if (!strcmp(key, "bus") && v)
        return set_bus(d, v, e);
    return err_set(e, LE_USAGE, "--cdrom: '%s%s%s' is not bus=BUS", key,
                   v ? "=" : "", v ? v : "");
}

/* An empty drive is named by this instead of a file. */
static bool is_empty(const struct run_disk *d)
{
    return !strcmp(d->path, "none");
}

static int open_image(const struct run_disk *d, struct loop *loop,
                      struct blk **out, struct err *e)
{
    struct image_options o = {.path = d->path,
                              .format = d->format[0] ? d->format : NULL,
                              .readonly = d->readonly,
                              .temporary = d->temporary};
    int rc = 0;

    *out = NULL;
    if (!d->cdrom || !is_empty(d))
        rc = image_open(&o, loop, out, e);
    return rc < 0 ? err_prefix(e, d->cdrom ? "--cdrom" : "--disk") : 0;
}

int run_disks_open(struct run_request *w, struct loop *loop,
                   struct pc_config *pc, struct blk *disks[PC_DISKS],
                   struct err *e)
{
    unsigned cdroms = 0;

    for (unsigned n = 0; n < w->ndisks; n++) {
        struct run_disk *d = &w->disk[n];
        int rc = open_image(d, loop, &disks[n], e);

        if (rc < 0)
            return rc;
        if (d->cdrom)
            snprintf(d->name, sizeof d->name, "cdrom%u", cdroms++);
        pc->disk[n] = (struct pc_disk){.blk = disks[n],
                                       .readonly = d->readonly,
                                       .bus = d->bus,
                                       .cdrom = d->cdrom,
                                       .name = d->cdrom ? d->name : NULL};
    }
    pc->ndisks = w->ndisks;
    return 0;
}
