/* The options of `lodge run`. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/run.h"

#define SETTER(name)                                                           \
    static int set_##name(void *ctx, const char *v, struct err *e)
#define REQUEST struct run_request *r = ctx

/* NAME[,irqchip=split|full] */
static int engine_field(void *ctx, const char *key, const char *v,
                        struct err *e)
{
    REQUEST;

    if (!key) {
        snprintf(r->engine, sizeof r->engine, "%s", v);
        return 0;
    }
    if (!strcmp(key, "irqchip") && v &&
        (!strcmp(v, "full") || !strcmp(v, "split"))) {
        r->tuning.chips = *v == 'f';
        return 0;
    }
    return err_set(e, LE_USAGE,
                   "--engine: '%s%s%s' is neither irqchip=split nor "
                   "irqchip=full",
                   key, v ? "=" : "", v ? v : "");
}

SETTER(engine)
{
    return cli_fields(v, engine_field, ctx, e);
}

SETTER(cpu)
{
    REQUEST;
    (void)e;
    r->cpu = v;
    return 0;
}

SETTER(cpus)
{
    REQUEST;
    return cli_number("--cpus", v, 1, 255, &r->cpus, e);
}

/* SIZE[,hugepages] */
SETTER(memory)
{
    REQUEST;
    const char *comma = strchr(v, ',');
    char size[32];
    int rc;

    if (comma && strcmp(comma, ",hugepages"))
        return err_set(e, LE_USAGE,
                       "--memory: '%s' is not hugepages, the only thing that "
                       "may follow the size",
                       comma + 1);
    snprintf(size, sizeof size, "%.*s", (int)(comma ? comma - v : 31), v);
    rc = cli_size("--memory", size, &r->memory, e);
    if (rc < 0)
        return rc;
    r->hugepages = comma != NULL;
    if (r->memory < 1 << 20)
        return err_set(e, LE_USAGE,
                       "--memory: %s is too small for any guest; give at "
                       "least 1M",
                       v);
    if (r->memory & 4095)
        return err_set(e, LE_USAGE, "--memory: %s is no multiple of 4K", v);
    return 0;
}

SETTER(kernel)
{
    REQUEST;
    (void)e;
    r->kernel = v;
    return 0;
}

SETTER(initrd)
{
    REQUEST;
    (void)e;
    r->initrd = v;
    return 0;
}

SETTER(append)
{
    REQUEST;
    (void)e;
    r->append = v;
    return 0;
}

SETTER(entry)
{
    static const struct {
        const char *name;
        enum boot_entry entry;
    } rows[] = {{"auto", BOOT_AUTO}, {"16", BOOT_16},   {"32", BOOT_32},
                {"64", BOOT_64},     {"elf", BOOT_ELF}, {"pvh", BOOT_PVH}};
    REQUEST;

    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++)
        if (!strcmp(rows[n].name, v)) {
            r->entry = rows[n].entry;
            return 0;
        }
    return err_set(e, LE_USAGE,
                   "--entry: '%s' is none of auto, 16, 32, 64, elf, pvh", v);
}

SETTER(firmware)
{
    REQUEST;
    return cli_fields(v, run_firmware_field, &r->firmware, e);
}

SETTER(boot)
{
    REQUEST;
    return run_boot_order(v, r->boot, e);
}

/* The fields of --disk, --cdrom or --floppy into the next place of a list. */
static int add_image(const char *v, struct run_disk *list, unsigned *n,
                     unsigned max, struct run_disk as, struct err *e)
{
    struct run_disk *d = &list[*n];
    int rc;

    if (*n == max)
        return err_set(e, LE_USAGE, "%s: a PC takes at most %u of them",
                       as.option, max);
    *d = as;
    rc = cli_fields(v, run_disk_field, d, e);
    if (rc < 0)
        return rc;
    if (d->readonly && d->temporary)
        return err_set(e, LE_USAGE,
                       "%s %s: ro and temporary exclude each other; a "
                       "temporary disk never changes its file",
                       d->option, d->path);
    d->readonly |= d->cdrom;
    ++*n;
    return 0;
}

SETTER(disk)
{
    REQUEST;
    return add_image(v, r->disk, &r->ndisks, PC_DISKS,
                     (struct run_disk){.option = "--disk"}, e);
}

SETTER(cdrom)
{
    REQUEST;
    return add_image(v, r->disk, &r->ndisks, PC_DISKS,
                     (struct run_disk){
                         .option = "--cdrom", .cdrom = true, .bus = PC_BUS_IDE},
                     e);
}

SETTER(floppy)
{
    REQUEST;
    return add_image(v, r->floppy, &r->nfloppies, PC_FLOPPIES,
                     (struct run_disk){.option = "--floppy", .floppy = true},
                     e);
}

SETTER(net)
{
    REQUEST;
    return run_add_net(r, v, e);
}

SETTER(serial)
{
    REQUEST;

    if (r->nserials == PC_SERIALS)
        return err_set(e, LE_USAGE, "--serial: a PC has at most %d ports",
                       PC_SERIALS);
    r->serial[r->nserials++] = v;
    return 0;
}

SETTER(timeout)
{
    REQUEST;
    return cli_number("--timeout", v, 1, 1000000000, &r->timeout, e);
}

SETTER(display)
{
    REQUEST;
    (void)e;
    r->display = v;
    return 0;
}

SETTER(vnc_password)
{
    REQUEST;
    (void)e;
    r->vnc_password = v;
    return 0;
}

SETTER(name)
{
    REQUEST;
    (void)e;
    r->name = v;
    return 0;
}

SETTER(stats)
{
    REQUEST;
    (void)e;
    r->stats = v;
    return 0;
}

SETTER(audio)
{
    REQUEST;

    if (strcmp(v, "none") && strcmp(v, "ac97"))
        return err_set(e, LE_USAGE, "--audio takes ac97 or none, not '%.40s'",
                       v);
    r->audio = strcmp(v, "none") ? v : NULL;
    return 0;
}

#define FLAG(name, member)                                                     \
    SETTER(name)                                                               \
    {                                                                          \
        REQUEST;                                                               \
        (void)v;                                                               \
        (void)e;                                                               \
        r->member = true;                                                      \
        return 0;                                                              \
    }
FLAG(no_reboot, no_reboot)
FLAG(debug_exit, debug_exit)
FLAG(test_device, test_device)
FLAG(check, tuning.check)
FLAG(perf_map, perf_map)

static int stress_field(void *ctx, const char *key, const char *v,
                        struct err *e)
{
    static const struct {
        const char *name;
        enum engine_stress what;
    } rows[] = {{"small", STRESS_SMALL},
                {"flush", STRESS_FLUSH},
                {"smc", STRESS_SMC},
                {"eager", STRESS_EAGER}};
    struct engine_tuning *t = ctx;

    if (key && !strcmp(key, "seed") && v)
        return cli_number("--jit-stress seed", v, 0, UINT64_MAX, &t->seed, e);
    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++)
        if (!strcmp(key ? key : v, rows[n].name) && (!key || !v)) {
            t->stress |= rows[n].what;
            return 0;
        }
    return err_set(e, LE_USAGE,
                   "--jit-stress: '%s' is none of small, flush, smc, eager, "
                   "seed=N",
                   key ? key : v);
}

SETTER(jit_stress)
{
    REQUEST;
    return cli_fields(v, stress_field, &r->tuning, e);
}

static int gdb_field(void *ctx, const char *key, const char *v, struct err *e)
{
    REQUEST;

    if (!key)
        return gdb_address(v, &r->gdb, e);
    if (v || strcmp(key, "wait"))
        return err_set(e, LE_USAGE,
                       "--gdb: '%s' is not wait, the only thing that may "
                       "follow the port",
                       key);
    r->gdb_wait = true;
    return 0;
}

SETTER(gdb)
{
    REQUEST;
    return cli_fields(v, gdb_field, r, e);
}

SETTER(verbose)
{
    REQUEST;
    (void)v;
    (void)e;
    r->verbose++;
    return 0;
}

const struct cli_option run_options[] = {
    {"engine", 0, false, "ENGINE[,irqchip=split|full]",
     "auto (the default), or one that 'lodge engines' lists; irqchip: with "
     "kvm, whether 8259s, IOAPIC and 8254 are Lodge's (split, the default) or "
     "the kernel's",
     set_engine},
    {"cpu", 0, false, "MODEL",
     "host, x86-64, x86-64-v2, -v3, -v4; then ,+FEATURE ,-FEATURE", set_cpu},
    {"cpus", 'c', false, "N", "number of CPUs (1)", set_cpus},
    {"memory", 'm', false, "SIZE[,hugepages]", "guest memory, K M G T (1G)",
     set_memory},
    {"kernel", 0, false, "FILE",
     "bzImage, ELF with a PVH note, or multiboot 1 kernel", set_kernel},
    {"initrd", 0, false, "FILE", "initial RAM disk, or multiboot module",
     set_initrd},
    {"append", 0, false, "TEXT", "kernel command line", set_append},
    {"entry", 0, false, "WAY",
     "how a kernel is entered: auto, 16, 32, 64, elf, pvh", set_entry},
    {"firmware", 0, false, "bios|uefi[,secure][,vars=FILE]|FILE",
     "what runs first: SeaBIOS, OVMF or a ROM; vars: where a UEFI keeps its "
     "settings",
     set_firmware},
    {"boot", 0, false, "KIND[,KIND…]",
     "what firmware boots from: disk, cdrom, floppy, net, in this order",
     set_boot},
    {"disk", 0, true,
     "FILE[,format=F][,bus=virtio|ide|ahci|nvme][,ro][,temporary]",
     "a disk; temporary: changes are dropped at the end", set_disk},
    {"cdrom", 0, true, "FILE[,bus=ide|ahci]",
     "a CD-ROM drive with that medium; none: empty", set_cdrom},
    {"net", 0, true, "WHERE[,model=CARD][,mac=ADDRESS]",
     "a network card: user[,fwd=tcp:[ADDR:]PORT:GUESTPORT][,restrict], tap:IF; "
     "none (the default)",
     set_net},
    {"floppy", 0, true, "FILE[,ro][,temporary]",
     "a floppy drive with that medium; none: empty", set_floppy},
    {"serial", 0, true, "WHERE",
     "COM1 and on: stdio, none, console (for 'lodge console'), file:PATH, "
     "unix:PATH (COM1: stdio)",
     set_serial},
    {"audio", 0, false, "CARD",
     "a sound card, which is silent: ac97, none (the default)", set_audio},
    {"display", 0, false, "WHERE",
     "the screen: none, text (in this terminal), vnc[:ADDR:PORT]", set_display},
    {"vnc-password", 0, false, "FILE",
     "a file with the password that VNC viewers must give", set_vnc_password},
    {"name", 0, false, "NAME",
     "a name for other verbs: 'lodge screen NAME', 'lodge stop NAME'",
     set_name},
    {"no-reboot", 0, false, NULL, "end when the guest resets", set_no_reboot},
    {"timeout", 0, false, "SECONDS", "end with status 124 after that long",
     set_timeout},
    {"debug-exit", 0, false, NULL,
     "port 0xf4 ends the VM: status (value << 1) | 1", set_debug_exit},
    {"test-device", 0, false, NULL,
     "ports and memory that bare-metal test kernels expect", set_test_device},
    {"gdb", 0, false, "[ADDR:]PORT[,wait]",
     "serve a debugger: 'target remote :PORT' in GDB; 0: any free port; wait: "
     "the guest starts when the debugger says so",
     set_gdb},
    {"check", 0, false, NULL,
     "--engine jit: compare all translated code with the interpreter; slow",
     set_check},
    {"jit-stress", 0, false, "WHAT[,WHAT][,seed=N]",
     "--engine jit: make rare paths common: small, flush, smc, eager",
     set_jit_stress},
    {"perf-map", 0, false, NULL,
     "--engine jit: tell perf of translated code, in /tmp/perf-PID.map",
     set_perf_map},
    {"stats", 0, false, "FILE", "write counters to a JSON file at the end",
     set_stats},
    {"verbose", 'v', true, NULL, "say more; twice: even more", set_verbose},
    {0},
};
