/* The disks, CD-ROMs and floppies of `lodge run`. */
#include <stdio.h>
#include <string.h>

#include "cli/run.h"
#include "image/registry.h"

static const struct {
    const char *name;
    enum pc_bus bus;
    bool cdroms;
} buses[] = {{"virtio", PC_BUS_VIRTIO, false},
             {"ide", PC_BUS_IDE, true},
             {"ahci", PC_BUS_AHCI, true},
             {"nvme", PC_BUS_NVME, false}};

/* "ide, ahci": what the option may name. */
static void list_buses(const struct run_disk *d, char *to, size_t n)
{
    size_t at = 0;

    to[0] = 0;
    for (unsigned i = 0; i < sizeof buses / sizeof buses[0] && at < n; i++)
        if (buses[i].cdroms || !d->cdrom)
            at += (size_t)snprintf(to + at, n - at, "%s%s", at ? ", " : "",
                                   buses[i].name);
}

static int set_bus(struct run_disk *d, const char *v, struct err *e)
{
    char list[64];

    for (unsigned n = 0; n < sizeof buses / sizeof buses[0]; n++)
        if (!strcmp(buses[n].name, v) && (buses[n].cdroms || !d->cdrom)) {
            d->bus = buses[n].bus;
            return 0;
        }
    list_buses(d, list, sizeof list);
    return err_set(e, LE_USAGE, "%s: '%.40s' is none of its buses: %s",
                   d->option, v, list);
}

static int set_path(struct run_disk *d, const char *v, struct err *e)
{
    if (!v[0] || strlen(v) >= sizeof d->path)
        return err_set(e, LE_USAGE, "%s: '%.40s' is no file name", d->option,
                       v);
    strcpy(d->path, v);
    return 0;
}

static bool set_flag(struct run_disk *d, const char *key)
{
    if (d->cdrom)
        return false;
    if (!strcmp(key, "ro"))
        d->readonly = true;
    else if (!strcmp(key, "temporary"))
        d->temporary = true;
    else
        return false;
    return true;
}

int run_disk_field(void *ctx, const char *key, const char *v, struct err *e)
{
    struct run_disk *d = ctx;

    if (!key)
        return set_path(d, v, e);
    if (!strcmp(key, "bus") && v && !d->floppy)
        return set_bus(d, v, e);
    if (!strcmp(key, "format") && v && v[0] && strlen(v) < sizeof d->format) {
        strcpy(d->format, v);
        return 0;
    }
    if (!v && set_flag(d, key))
        return 0;
    return err_set(e, LE_USAGE, "%s: '%s%s%s' is none of format=FORMAT%s%s",
                   d->option, key, v ? "=" : "", v ? v : "",
                   d->floppy ? "" : ", bus=BUS",
                   d->cdrom ? "" : ", ro, temporary");
}

/* An empty drive is named by this instead of a file. */
static bool is_empty(const struct run_disk *d)
{
    return (d->cdrom || d->floppy) && !strcmp(d->path, "none");
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
    if (!is_empty(d))
        rc = image_open(&o, loop, out, e);
    return rc < 0 ? err_prefix(e, "%s", d->option) : 0;
}

static int open_floppies(const struct run_request *w, struct loop *loop,
                         struct pc_config *pc, struct blk **images,
                         struct err *e)
{
    for (unsigned n = 0; n < w->nfloppies; n++) {
        const struct run_disk *d = &w->floppy[n];
        int rc = open_image(d, loop, &images[n], e);

        if (rc < 0)
            return rc;
        pc->floppy[n] = (struct pc_floppy){
            .present = true, .blk = images[n], .readonly = d->readonly};
    }
    return 0;
}

int run_disks_open(struct run_request *w, struct loop *loop,
                   struct pc_config *pc, struct blk *images[RUN_IMAGES],
                   struct err *e)
{
    unsigned cdroms = 0;

    for (unsigned n = 0; n < w->ndisks; n++) {
        struct run_disk *d = &w->disk[n];
        int rc = open_image(d, loop, &images[n], e);

        if (rc < 0)
            return rc;
        if (d->cdrom)
            snprintf(d->name, sizeof d->name, "cdrom%u", cdroms++);
        pc->disk[n] = (struct pc_disk){.blk = images[n],
                                       .readonly = d->readonly,
                                       .bus = d->bus,
                                       .cdrom = d->cdrom,
                                       .name = d->cdrom ? d->name : NULL};
    }
    pc->ndisks = w->ndisks;
    return open_floppies(w, loop, pc, images + PC_DISKS, e);
}
