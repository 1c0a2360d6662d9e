/*
 * Fields of the Linux/x86 boot protocol (kernel Documentation,
 * arch/x86/boot.rst and zero-page.rst): offsets from the start of the bzImage
 * and, the same, from the start of boot_params. Private to boot_linux*.c.
 */
#ifndef MACHINE_BOOT_LINUX_H
#define MACHINE_BOOT_LINUX_H

#include "machine/boot_internal.h"

enum {
    SECTOR = 512,

    /* struct setup_header */
    H_SETUP_SECTS = 0x1f1, /* u8 */
    H_SYSSIZE = 0x1f4,     /* u32 (u16 before 2.04), 16-byte units */
    H_VID_MODE = 0x1fa,
    H_BOOT_FLAG = 0x1fe, /* 0xaa55 */
    H_JUMP = 0x200,      /* u8 at +1: the header's end - 0x202 */
    H_MAGIC = 0x202,     /* "HdrS" */
    H_VERSION = 0x206,
    H_KERNEL_VERSION = 0x20e, /* u16, a text's place - 0x200; 0: none */
    H_TYPE_OF_LOADER = 0x210,
    H_LOADFLAGS = 0x211,
    H_SETUP_MOVE_SIZE = 0x212,
    H_CODE32_START = 0x214,
    H_RAMDISK_IMAGE = 0x218,
    H_RAMDISK_SIZE = 0x21c,
    H_HEAP_END_PTR = 0x224,
    H_CMD_LINE_PTR = 0x228,     /* 2.02 */
    H_INITRD_ADDR_MAX = 0x22c,  /* 2.03: highest usable byte */
    H_KERNEL_ALIGNMENT = 0x230, /* 2.05 */
    H_RELOCATABLE = 0x234,      /* 2.05 */
    H_XLOADFLAGS = 0x236,       /* 2.12 */
    H_CMDLINE_SIZE = 0x238,     /* 2.06, without the NUL */
    H_PAYLOAD_OFFSET = 0x248,   /* 2.08, from the protected-mode code */
    H_PAYLOAD_LENGTH = 0x24c,   /* 2.08 */
    H_SETUP_DATA = 0x250,       /* 2.09 */
    H_PREF_ADDRESS = 0x258,     /* 2.10 */
    H_INIT_SIZE = 0x260,        /* 2.10 */
    H_LIMIT = 0x290,            /* no header is longer */

    LOADED_HIGH = 1 << 0, /* loadflags */
    CAN_USE_HEAP = 1 << 7,
    XLF_KERNEL_64 = 1 << 0, /* xloadflags */

    /* The rest of boot_params */
    P_EXT_MEM_K = 0x002, /* u16, screen_info */
    P_CL_MAGIC = 0x020,  /* u16 0xa33f: the command line before 2.02 */
    P_CL_OFFSET = 0x022,
    P_ACPI_RSDP = 0x070, /* u64, 2.14 */
    P_ALT_MEM_K = 0x1e0, /* u32 */
    P_E820_ENTRIES = 0x1e8,
    P_E820_TABLE = 0x2d0, /* 128 entries of 20 bytes */
    PARAMS_SIZE = 0x1000,

    CL_MAGIC = 0xa33f,
    LOADER_UNKNOWN = 0xff,
    VGA_NORMAL = 0xffff,
    SETUP_RNG_SEED = 9,
};

/* A checked bzImage or zImage. */
struct bzimage {
    const uint8_t *file;
    size_t n;
    unsigned version;
    uint32_t setup_size; /* real-mode part, whole sectors */
    uint64_t code_size;  /* the rest */
    uint32_t header_end; /* from the start of the file */
    bool high, relocatable, has_64;
    uint64_t load;    /* where the protected-mode code goes */
    uint64_t runtime; /* [runtime, runtime_end): what it needs in memory */
    uint64_t runtime_end;
    uint64_t initrd_limit;          /* first byte the initrd may not use */
    uint64_t cmdline_max;           /* without the NUL */
    uint64_t payload, payload_size; /* from the start of the file; size 0:
                                       none */
};

int linux_parse(const struct boot_request *q, struct bzimage *z, struct err *e);

/* Claims and writes boot_params, the command line, and the initrd; the kernel
   was claimed before, so that the initrd stays clear of it. */
int linux_put_params(struct boot_layout *l, const struct bzimage *z,
                     struct err *e);
/* Places and stores the initrd; *base 0: none. */
int linux_put_initrd(struct boot_layout *l, const struct bzimage *z,
                     uint64_t *base, struct err *e);
/* The header fields that every entry sets. */
void linux_set_header(uint8_t *params, const struct bzimage *z, uint64_t initrd,
                      uint64_t initrd_size);

/* The 16-bit entry (boot_linux16.c). */
int linux_load_16(struct boot_layout *l, const struct bzimage *z,
                  struct boot_image *out, struct err *e);

/* Of a kernel that is Linux: is the initrd, if any, whole and of a kind that it
   takes? */
int linux_check_initrd(const struct boot_request *q, const struct bzimage *z,
                       struct err *e);

#endif
