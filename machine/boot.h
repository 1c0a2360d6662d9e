/*
 * Loading an operating system without firmware. A loader reads a kernel's
 * bytes, writes it and what it needs into guest RAM, and says how the first
 * CPU starts. Nothing of the VM is touched but RAM through struct boot_ram,
 * so loaders run alike in a VM, in tests and under the fuzzer.
 *
 * Kernel, initrd and command line come from outside: every field is checked
 * before use. Errors are one sentence naming the file or the option. Thread:
 * any; a request and what it points to are the caller's.
 *
 * Where things go below 1 MB (the rest is wherever it fits):
 *   0x00000 interrupt vectors and BIOS data     0x01000 start records, GDT
 *   0x02000 boot_params or PVH/multiboot info   0x04000 page tables
 *   0x20000 command line (the 16-bit entry has its own)
 *   0x90000 real-mode kernel (16-bit entry)     0x9fc00 EBDA
 */
#ifndef MACHINE_BOOT_H
#define MACHINE_BOOT_H

#include "lodge/space.h"
#include "machine/e820.h"
#include "x86/state.h"

/* Guest RAM as loaders see it; space_boot_ram() makes one from a space. */
struct boot_ram {
    /* As space_span(): the longest piece at a, up to n bytes. */
    int (*span)(void *ctx, gpa_t a, size_t n, struct span *out);
    /* As space_wrote(); may be NULL. */
    void (*wrote)(void *ctx, gpa_t a, size_t n);
    void *ctx;
};
struct boot_ram space_boot_ram(struct space *mem);

/* Which way in. A kernel that has no such entry is an error. */
enum boot_entry {
    BOOT_AUTO, /* the fastest that is certain to work */
    BOOT_16,   /* bzImage: real mode, kernel's own set-up code */
    BOOT_32,   /* bzImage: protected mode */
    BOOT_64,   /* bzImage: long mode */
    BOOT_ELF,  /* bzImage: unpacked here, boot_params */
    BOOT_PVH,  /* bzImage unpacked here, or ELF: PVH note */
};

enum { BOOT_SEED_SIZE = 32 };

struct boot_bytes {
    const uint8_t *p; /* NULL: none given */
    size_t n;
    const char *name; /* the file's, as its owner wrote it */
};

struct boot_request {
    struct boot_bytes kernel, initrd;
    const char *cmdline; /* NULL: empty */
    enum boot_entry entry;
    const struct e820 *map;
    gpa_t rsdp;          /* 0: no ACPI */
    bool long_mode;      /* the CPU model has it */
    bool self_unpack;    /* never unpack a bzImage on the host */
    const uint8_t *seed; /* BOOT_SEED_SIZE random bytes for the guest's
                            generator, or NULL */
};

enum boot_mode { BOOT_MODE_REAL, BOOT_MODE_PROTECTED, BOOT_MODE_LONG };

/* How the first CPU starts, and what was chosen. */
struct boot_image {
    enum boot_mode mode;
    uint64_t rip; /* offset in CS for real mode */
    uint64_t rsp; /* 0: undefined by the protocol */
    uint64_t rax, rbx, rsi;
    uint16_t cs, ds; /* selectors, or segments in real mode */
    gpa_t gdt;       /* protected and long mode */
    gpa_t cr3;       /* long mode */
    const char *how; /* "bzImage, 64-bit entry" … for the log */
};

/* Finds out what the kernel is, loads it. 0 or -LE_*. */
int boot_load(const struct boot_request *r, const struct boot_ram *ram,
              struct boot_image *out, struct err *e);

/*
 * Puts the CPU, which is in its state after power-on, into the state that
 * the protocol of the image asks for. 0 or -LE_UNSUPPORTED.
 */
int boot_state(const struct boot_image *image, struct x86_state *s);

#endif
