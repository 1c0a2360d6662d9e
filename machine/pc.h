/*
 * The PC: i440FX host bridge, PIIX3 and PIIX4, and the chips that an AT has,
 * built from a VM (vm/vm.h) and the device classes of hw/. It starts kernels
 * without firmware: at every reset the kernel is loaded anew, and what a BIOS
 * would have set up is set up here.
 *
 *   vm_create(&vm)             engine, CPUs, RAM
 *   pc_create(vm, &config)     everything else; vm_set_machine() included
 *   vm_start(vm) …             vm/ calls pc_destroy() by itself
 *
 * Memory map: RAM at 0–9ffff and from 100000 up, at most 3 GB below 4 GB and
 * the rest from 4 GB on; a0000–dffff PCI; e0000–fffff tables and the little
 * BIOS of bios.h; c0000000–febfffff PCI; fec00000 IOAPIC; fed00000 HPET;
 * fee00000 local APICs; ffff0000 ROM, the same as f0000.
 *
 * Thread: pc_create on the controlling thread, no lock held. The rest as said.
 */
#ifndef MACHINE_PC_H
#define MACHINE_PC_H

#include "machine/boot.h"
#include "vm/vm.h"

enum {
    PC_SERIALS = 4,
    PC_DISKS = 16,
    PC_FLOPPIES = 2,
    PC_NICS = 8,
    PC_NET_ROMS = 4,
};

enum pc_bus { PC_BUS_VIRTIO, PC_BUS_IDE, PC_BUS_AHCI, PC_BUS_NVME };

/* A disk, or a CD-ROM drive: those are on IDE or AHCI. */

/* What firmware tries to boot from, and in which order. */
enum pc_boot {
    PC_BOOT_NONE,
    PC_BOOT_FLOPPY,
    PC_BOOT_DISK,
    PC_BOOT_CDROM,
    PC_BOOT_NET,
    PC_BOOT_MAX = 4, /* kinds in an order */
};

struct pc_disk {
    struct blk *blk;    /* borrowed for the VM's life; a CD-ROM's medium, which
                           may be missing, until it is changed */
    const char *serial; /* NULL: the image's id */
    bool readonly;
    enum pc_bus bus;
    bool cdrom;
    const char *name; /* of a CD-ROM drive, to change its medium */
};

struct pc_nic {
    struct net *net;   /* borrowed for the VM's life */
    const char *model; /* a class of hw/registry.h: "virtio-net" */
    const char *mac;   /* "52:54:00:12:34:56"; NULL: that one */
};

/* A floppy drive, named "floppy0" or "floppy1" to change its medium. */
struct pc_floppy {
    bool present;
    struct blk *blk; /* NULL: empty */
    bool readonly;
};

/* Everything that is pointed to is borrowed for the VM's life. */
struct pc_config {
    /* What to boot. Loaded again at every reset. */
    struct boot_bytes kernel, initrd; /* names for error texts */
    const char *cmdline;
    enum boot_entry entry;
    bool self_unpack; /* leave unpacking a bzImage to the guest's CPU */
    bool no_acpi;     /* no ACPI tables (MP tables are always there) */

    /*
     * Firmware: then it is what runs first, and a kernel, if there is one, is
     * its to load. vars: the flash below it that keeps its settings, and
     * where what is written there goes (NULL: nowhere).
     */
    struct boot_bytes firmware, vars;
    struct blk *vars_disk;
    bool screen;                /* a VGA adapter */
    struct boot_bytes vga_bios; /* its ROM; may be missing */
    uint8_t boot[PC_BOOT_MAX];  /* enum pc_boot, first to try first */
    /* For a BIOS: programs that boot from network cards. */
    struct boot_bytes net_rom[PC_NET_ROMS];
    unsigned nnet_roms;

    struct chardev *serial[PC_SERIALS]; /* NULL: no such port */
    struct pc_disk disk[PC_DISKS];
    unsigned ndisks;
    struct pc_nic nic[PC_NICS];
    unsigned nnics;
    struct pc_floppy floppy[PC_FLOPPIES];
    struct chardev *console; /* virtio console; NULL: none */
    const char *audio;       /* a class of hw/registry.h; NULL: none */
    bool no_rng;             /* leave the virtio entropy device out */
    bool debug_exit;         /* port 0xf4 ends the VM */
    bool test_device;        /* ports and memory for test kernels */

    uint8_t uuid[16]; /* all zero: a random one */
};

struct pc;

/*
 * Attaches all devices to vm and makes the PC its machine. On an error the
 * caller destroys vm.
 */
int pc_create(struct vm *vm, const struct pc_config *config, struct pc **out,
              struct err *e);

/* How the kernel was started, for the log; after vm_start(). */
const char *pc_boot_method(const struct pc *pc);

/* Presses the power button. False: the guest does not listen. Takes the
   machine lock. */
bool pc_power_button(struct pc *pc);

#endif
