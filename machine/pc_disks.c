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
    struct prop_value value[UNITS_MAX * UNIT_PROPS + 2];
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

/* Tells firmware of a drive: the rest of its path by snprintf(). */
PRINTF(3, 4)
static void can_boot(struct pc *pc, enum pc_boot kind, const char *format, ...)
{
    char path[80] = "/pci@i0cf8/";
    size_t n = strlen(path);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(path + n, sizeof path - n, format, args);
    va_end(args);
    pc_boot_path(pc, kind, path);
}

static enum pc_boot kind_of(const struct pc_disk *d)
{
    return d->cdrom ? PC_BOOT_CDROM : PC_BOOT_DISK;
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

static unsigned count(const struct pc_config *c, enum pc_bus bus)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->ndisks; i++)
        n += c->disk[i].bus == bus;
    return n;
}

/* Drives on one controller. */
struct controller {
    enum pc_bus bus;
    const char *name;
    char path[32];       /* as firmware names it */
    uint8_t per_channel; /* drives */
    uint8_t units;
    uint8_t disks[UNITS_MAX], cdroms[UNITS_MAX]; /* units, best first */
};

/* Puts the disks of a bus, or its CD-ROMs, on the controller's units. */
static int place(struct pc *pc, const struct controller *c, bool cdroms,
                 struct units *u, struct err *e)
{
    const uint8_t *order = cdroms ? c->cdroms : c->disks;

    for (unsigned i = 0; i < pc->config.ndisks; i++) {
        const struct pc_disk *d = &pc->config.disk[i];
        unsigned at = 0;

        if (d->bus != c->bus || d->cdrom != cdroms)
            continue;
        while (at < c->units && u->taken[order[at]])
            at++;
        if (at == c->units)
            return err_set(e, LE_USAGE,
                           "bus=%s takes %u drives, CD-ROMs included; put the "
                           "others on another bus",
                           c->name, c->units);
        put_unit(u, order[at], d);
        can_boot(pc, kind_of(d), "%s/drive@%x/disk@%x", c->path,
                 order[at] / c->per_channel, order[at] % c->per_channel);
    }
    return 0;
}

static int place_all(struct pc *pc, const struct controller *c, struct units *u,
                     struct err *e)
{
    int r = place(pc, c, true, u, e);

    return r ? r : place(pc, c, false, u, e);
}

/* A CD-ROM is the secondary channel's master, if it can be. Firmware (U-Boot)
   looks for drives at ports that it takes to be there: on its PCs they are. */
static int add_ide(struct pc *pc, struct err *e)
{
    static const struct controller ide = {
        .bus = PC_BUS_IDE,
        .name = "ide",
        .path = "ide@1,1",
        .per_channel = 2,
        .units = 4,
        .disks = {0, 1, 2, 3},
        .cdroms = {2, 3, 1, 0},
    };
    struct units u = {0};
    int r;

    if (!count(&pc->config, PC_BUS_IDE) && !pc->config.firmware.n)
        return 0;
    r = place_all(pc, &ide, &u, e);
    if (r)
        return r;
    return pc_add(pc, "piix-ide", "ide", u.value, e) ? 0 : e->code;
}

static int add_ahci(struct pc *pc, struct err *e)
{
    struct controller ahci = {
        .bus = PC_BUS_AHCI,
        .name = "ahci",
        .per_channel = 1,
        .units = 6,
        .disks = {0, 1, 2, 3, 4, 5},
        .cdroms = {5, 4, 3, 2, 1, 0},
    };
    struct units u = {0};
    unsigned slot;
    int r;

    if (!count(&pc->config, PC_BUS_AHCI))
        return 0;
    slot = pc_slot(pc);
    snprintf(ahci.path, sizeof ahci.path, "pci8086,2922@%x", slot);
    r = place_all(pc, &ahci, &u, e);
    if (r)
        return r;
    u.value[u.n] =
        (struct prop_value){.name = "slot", .kind = PROP_U64, .number = slot};
    return pc_add(pc, "ahci", "ahci", u.value, e) ? 0 : e->code;
}

/* Each disk of the bus is a device of class in a slot of its own. */
static int add_own(struct pc *pc, enum pc_bus bus, const char *class,
                   const char *boot_path, struct err *e)
{
    for (unsigned i = 0; i < pc->config.ndisks; i++) {
        const struct pc_disk *d = &pc->config.disk[i];
        unsigned slot;
        char id[16];

        if (d->bus != bus)
            continue;
        slot = pc_slot(pc);
        snprintf(id, sizeof id, "disk%u", i);
        if (!pc_add(pc, class, id,
                    PROP_VALUES(SET_BLK("disk", d->blk)
                                    SET_TEXT("serial", serial_of(d))
                                        SET_BOOL("readonly", d->readonly)
                                            SET_NUMBER("slot", slot)),
                    e))
            return e->code;
        can_boot(pc, PC_BOOT_DISK, boot_path, slot);
    }
    return 0;
}

static int add_nvme(struct pc *pc, struct err *e)
{
    return add_own(pc, PC_BUS_NVME, "nvme", "pci1b36,10@%x/namespace@1,0", e);
}

static int add_virtio(struct pc *pc, struct err *e)
{
    return add_own(pc, PC_BUS_VIRTIO, "virtio-blk", "scsi@%x/disk@0,0", e);
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

    for (unsigned i = 0; i < PC_FLOPPIES; i++) {
        any |= f[i].present;
        if (f[i].present)
            can_boot(pc, PC_BOOT_FLOPPY, "isa@1/fdc@03f0/floppy@%x", i);
    }
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
        add_virtio, add_ide, add_ahci, add_nvme, add_floppies};
    int r = 0;

    for (unsigned i = 0; !r && i < ARRAY_LEN(groups); i++)
        r = groups[i](pc, e);
    return r;
}
