/* What the command line of `lodge run` asks for. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"
#include "machine/pc.h"

struct run_disk {
    char path[4096];
    char format[16]; /* "": by the name */
    bool readonly, temporary;
};

struct run_request {
    const char *engine, *cpu;
    uint64_t cpus, memory, timeout;
    const char *kernel, *initrd, *append;
    enum boot_entry entry;
    struct run_disk disk[PC_DISKS];
    unsigned ndisks;
    const char *serial[PC_SERIALS];
    unsigned nserials;
    bool no_reboot, debug_exit, test_device;
    const char *stats, *name;
    unsigned verbose;
};

#endif
