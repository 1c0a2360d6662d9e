/*
 * What the loaders of machine/ share: fixed places, a record of what RAM is
 * taken, checked stores. Private to machine/boot_*.c.
 */
#ifndef MACHINE_BOOT_INTERNAL_H
#define MACHINE_BOOT_INTERNAL_H

#include "machine/boot.h"

enum {
    BOOT_GDT = 0x1000,
    BOOT_INFO = 0x2000, /* up to two pages */
    BOOT_INFO_MAX = 0x2000,
    BOOT_PAGES = 0x4000, /* PML4, PDPT, four page directories */
    BOOT_PAGES_SIZE = 0x6000,
    BOOT_CMDLINE = 0x20000,
    BOOT_CMDLINE_MAX = 0x10000, /* with the NUL */

    /* The selectors of Linux's boot protocol, used for all. */
    BOOT_CS = 0x10,
    BOOT_DS = 0x18,

    BOOT_CLAIMS = 80,
    BOOT_SEGMENTS = 64, /* of an ELF file; real kernels have below ten */
};

/* What is loaded where, so that nothing lands on another. */
struct boot_layout {
    const struct boot_request *req;
    const struct boot_ram *ram;
    unsigned n;
    struct boot_claim {
        uint64_t base, end;
        const char *what; /* "the initrd" */
    } claim[BOOT_CLAIMS];
};

void layout_init(struct boot_layout *l, const struct boot_request *r,
                 const struct boot_ram *ram);
/* Is [base, base + n) all RAM? If not, the text tells to give more memory. */
int layout_check(const struct boot_layout *l, uint64_t base, uint64_t n,
                 const char *what, struct err *e);
/* Takes it for `what`. Fails when it is not RAM or something else is there. */
int layout_claim(struct boot_layout *l, uint64_t base, uint64_t n,
                 const char *what, struct err *e);
/*
 * Find and take n free bytes of RAM from 1 MB on and below `limit` (the first
 * byte they may not use), a multiple of align: the highest such place, or the
 * lowest above everything that was claimed.
 */
int layout_place_high(struct boot_layout *l, uint64_t n, uint64_t align,
                      uint64_t limit, const char *what, uint64_t *base,
                      struct err *e);
int layout_place_after(struct boot_layout *l, uint64_t n, uint64_t align,
                       uint64_t limit, const char *what, uint64_t *base,
                       struct err *e);

/* To RAM that was claimed: failure means the map promised what is not there. */
int boot_store(struct boot_layout *l, gpa_t a, const void *p, uint64_t n,
               struct err *e);
int boot_zero(struct boot_layout *l, gpa_t a, uint64_t n, struct err *e);

/*
 * Claims [at, at + room) for the command line and stores prefix, a space when
 * both are there, the text and a NUL. max: the longest text that the kernel
 * takes, without the NUL.
 */
int boot_put_cmdline(struct boot_layout *l, gpa_t at, uint64_t room,
                     const char *prefix, uint64_t max, struct err *e);
/* Flat segments at BOOT_CS and BOOT_DS, for the mode. */
int boot_put_gdt(struct boot_layout *l, enum boot_mode mode, struct err *e);
/* Identity mapping of the first 4 GB with 2 MB pages, at BOOT_PAGES. */
int boot_put_pages(struct boot_layout *l, struct err *e);

/* --- ELF (boot_elf.c) --- */
struct elf_segment {
    uint64_t off, file_size, paddr, mem_size, vaddr;
    bool headers_only; /* what a linker puts in front of the first page */
};
struct elf_image {
    bool wide; /* ELF64 */
    uint64_t entry;
    unsigned n;
    struct elf_segment seg[BOOT_SEGMENTS];
    bool has_pvh;
    uint32_t pvh_entry;
};
/* Checks everything later code relies on. what: "the kernel", for texts. */
int elf_parse(const struct boot_bytes *file, struct elf_image *out,
              struct err *e);
bool elf_is(const struct boot_bytes *file);
/* Claims and loads every segment at its physical address. One that holds the
   file's headers only is left out where there is no RAM for it. */
int elf_load(struct boot_layout *l, const struct boot_bytes *file,
             const struct elf_image *elf, struct err *e);
/* Is the physical address inside what a segment loads? */
bool elf_holds(const struct elf_image *elf, uint64_t paddr);

/* --- the protocols --- */
bool linux_is(const struct boot_bytes *file);
int linux_load(struct boot_layout *l, struct boot_image *out, struct err *e);
int pvh_load(struct boot_layout *l, const struct boot_bytes *file,
             const struct elf_image *elf, struct boot_image *out,
             struct err *e);
bool multiboot_is(const struct boot_bytes *file);
int multiboot_load(struct boot_layout *l, struct boot_image *out,
                   struct err *e);

#endif
