/* What the command line of `lodge run` asks for. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"
#include "cli/gdb.h"
#include "host/net/net.h"
#include "machine/pc.h"

enum { RUN_IMAGES = PC_DISKS + PC_FLOPPIES };

struct run_disk {
    const char *option; /* "--disk" */
    char path[4096];
    char format[16]; /* "": by the name */
    bool readonly, temporary, cdrom, floppy;
    enum pc_bus bus;
    char name[16]; /* of a CD-ROM drive */
};

struct run_firmware {
    char name[4096]; /* bios, uefi or a file; "": none */
    char vars[4096]; /* file that keeps a UEFI's settings; "": none */
    bool secure;     /* Secure Boot with the usual keys */
};

struct run_net {
    struct net_options net;
    const char *model; /* a device class */
    char mac[18];
};

struct run_request {
    char engine[32]; /* "": not given */
    const char *cpu;
    uint64_t cpus, memory, timeout;
    bool hugepages;
    const char *kernel, *initrd, *append;
    enum boot_entry entry;
    struct run_disk disk[PC_DISKS];
    unsigned ndisks;
    struct run_firmware firmware;
    uint8_t boot[PC_BOOT_MAX];
    struct run_net nic[PC_NICS];
    unsigned nnics;
    struct run_disk floppy[PC_FLOPPIES];
    unsigned nfloppies;
    const char *serial[PC_SERIALS];
    unsigned nserials;
    const char *audio; /* a device class; NULL: none */
    bool no_reboot, debug_exit, test_device;
    const char *stats, *name;
    const char *display, *vnc_password; /* NULL: not given */
    struct address gdb; /* len 0: not wanted */
    bool gdb_wait;
    struct engine_tuning tuning;
    bool perf_map;
    unsigned verbose;
};

/* --- run_disks.c --- */
/* One field of --disk, --cdrom and --floppy, for cli_fields(). */
int run_disk_field(void *ctx, const char *key, const char *v, struct err *e);
/* Opens the images, which the caller closes also after an error. */
int run_disks_open(struct run_request *w, struct loop *loop,
                   struct pc_config *pc, struct blk *images[RUN_IMAGES],
                   struct err *e);
/* --net: takes one more card into r. */
int run_add_net(struct run_request *r, const char *text, struct err *e);

/* --- run_firmware.c --- */
/* One field of --firmware, for cli_fields(). */
int run_firmware_field(void *ctx, const char *key, const char *v,
                       struct err *e);
/* "disk,cdrom" to kinds of devices, in order. */
int run_boot_order(const char *text, uint8_t order[PC_BOOT_MAX], struct err *e);
/* Reads the files into pc, which close gives back, also after an error. */
int run_firmware_open(const struct run_firmware *f, struct loop *loop,
                      struct pc_config *pc, struct err *e);
/* A BIOS that is to boot from networks: what does that with the cards of w. */
int run_net_roms(const struct run_request *w, struct pc_config *pc,
                 struct err *e);
bool run_boots_net(const struct run_request *w);
void run_firmware_close(struct pc_config *pc);

#endif
