/* Where a PC's disks, CD-ROM and floppy drives go. */
#include "base/bits.h"
#include "base/libc.h"
#include "hw/storage/floppy.h"
#include "hw/timer/mc146818.h"
#include "machine/pc_internal.h"

enum { CMOS_FLOPPIES = 0x10, CMOS_EQUIPMENT = 0x14, EQUIPMENT = 0x06 };
enum { UNITS_MAX = 6, UNIT_PROPS = 5 };

/* The properties of a controller with several drives. */
struct units {
    unsigned n;
    char name[UNITS_MAX * UNIT_PROPS][12];
    struct prop_value value[UNITS_MAX * UNIT_PROPS + 1];
    bool taken[UNITS_MAX];
};

static void put(struct units *u, const char *stem, unsigned unit,
                struct prop_value v)
{
    snprintf(u->name[u->n], sizeof u->name[0], "%s%u", stem, unit);
    v.name = u->name[u->n];
    u->value[u->n++] = v;
}

static const char *serial_of(const struct pc_disk *d)
{
    return d->serial ? d->serial : d->blk ? d->blk->id : NULL;
}

static void put_unit(struct units *u, unsigned unit, const struct pc_disk *d)
{
#define VALUE(k, m, v) ((struct prop_value){.kind = (k), .m = (v)})
    u->taken[unit] = true;
    put(u, "drive", unit, VALUE(PROP_BLK, blk, d->blk));
    put(u, "serial", unit, VALUE(PROP_STRING, text, serial_of(d)));
    put(u, "name", unit, VALUE(PROP_STRING, text, d->name));
    put(u, "cdrom", unit, VALUE(PROP_BOOL, flag, d->cdrom));
    put(u, "readonly", unit, VALUE(PROP_BOOL, flag, d->readonly));
#undef VALUE
}

/* Puts the disks of a bus, or its CD-ROMs, on the units of a controller in the
   order given. */
static int place(const struct pc_config *c, enum pc_bus bus, bool cdroms,
                 const uint8_t *order, unsigned max, struct units *u,
                 struct err *e)
{
    for (unsigned i = 0; i < c->ndisks; i++) {
        const struct pc_disk *d = &c->disk[i];
        unsigned at = 0;

        if (d->bus != bus || d->cdrom != cdroms)
            continue;
        while (at < max && u->taken[order[at]])
            at++;
        if (at == max)
            return err_set(e, LE_USAGE,
                           "bus=%s takes %u drives, CD-ROMs included; put the "
                           "others on another bus",
                           bus == PC_BUS_IDE ? "ide" : "ahci", max);
        put_unit(u, order[at], d);
    }
    return 0;
}

/* A CD-ROM is the secondary channel's master, if it can be. */
static int add_ide(struct pc *pc, struct err *e)
{
    static const uint8_t disks[] = {0, 1, 2, 3}, cdroms[] = {2, 3, 1, 0};
    struct units u = {0};
    int r = place(&pc->config, PC_BUS_IDE, true, cdroms, 4, &u, e);

    if (!r)
        r = place(&pc->config, PC_BUS_IDE, false, disks, 4, &u, e);
    if (r || !u.n)
        return r;
    return pc_add(pc, "piix-ide", "ide", u.value, e) ? 0 : e->code;
}

static int add_virtio(struct pc *pc, struct err *e)
{
    for (unsigned i = 0; i < pc->config.ndisks; i++) {
        const struct pc_disk *d = &pc->config.disk[i];
        char id[16];

        if (d->bus != PC_BUS_VIRTIO)
            continue;
        snprintf(id, sizeof id, "disk%u", i);
        if (!pc_add(pc, "virtio-blk", id,
                    PROP_VALUES(SET_BLK("disk", d->blk)
                                    SET_TEXT("serial", serial_of(d))
                                        SET_BOOL("readonly", d->readonly)
                                            SET_NUMBER("slot", pc_slot(pc))),
                    e))
            return e->code;
    }
    return 0;
}

/* --- floppies --- */

/* The kinds of drive, as CMOS tells them to a BIOS and to systems. */
static int tell_floppies(struct pc *pc)
{
    struct dev *rtc = vm_find_device(pc->vm, "rtc");
    unsigned n = 0, types = 0;

    for (unsigned i = 0; i < PC_FLOPPIES; i++) {
        const struct pc_floppy *f = &pc->config.floppy[i];
        const struct floppy_format *format =
            f->blk ? floppy_format(f->blk->size) : NULL;
        unsigned type = format ? format->drive : FLOPPY_DRIVE_144;

        if (!f->present)
            continue;
        n++;
        types |= type << (i ? 0 : 4);
    }
    mc146818_set_cmos(rtc, CMOS_FLOPPIES, (uint8_t)types);
    if (n)
        mc146818_set_cmos(rtc, CMOS_EQUIPMENT,
                          (uint8_t)(EQUIPMENT | 1 | (n - 1) << 6));
    return 0;
}

static int add_floppies(struct pc *pc, struct err *e)
{
    const struct pc_floppy *f = pc->config.floppy;
    bool any = false;

    for (unsigned i = 0; i < PC_FLOPPIES; i++)
        any |= f[i].present;
    if (!any)
        return 0;
    if (!pc_add(pc, "fdc82077", "floppy",
                PROP_VALUES(SET_BOOL("present0", f[0].present) SET_BLK(
                    "drive0", f[0].blk) SET_BOOL("readonly0", f[0].readonly)
                                SET_TEXT("name0", "floppy0")
                                    SET_BOOL("present1", f[1].present)
                                        SET_BLK("drive1", f[1].blk)
                                            SET_BOOL("readonly1", f[1].readonly)
                                                SET_TEXT("name1", "floppy1")),
                e))
        return e->code;
    return tell_floppies(pc);
}

int pc_add_disks(struct pc *pc, struct err *e)
{
    static int (*const groups[])(struct pc *, struct err *) = {
        add_virtio, add_ide, add_floppies};
    int r = 0;

    for (unsigned i = 0; !r && i < ARRAY_LEN(groups); i++)
        r = groups[i](pc, e);
    return r;
}
