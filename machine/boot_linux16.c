/*
 * The 16-bit entry of the Linux boot protocol: the kernel's real-mode part
 * runs at 0x90000 and asks the BIOS (machine/bios.c) what it needs to know.
 */
#include "base/endian.h"
#include "machine/boot_linux.h"

enum {
    REAL_BASE = 0x90000,
    REAL_SEG = REAL_BASE >> 4,
    ENTRY_SEG = REAL_SEG + 0x20, /* 512 bytes in, where the header jumps */
    STACK_TOP = 0xe000,          /* of the heap and stack, in the segment */
    STACK_TOP_OLD = 0x9800,      /* before 2.02, or for a zImage */
    STACK_MIN = 0x200,
    CMDLINE_ROOM_OLD = 0x100,
};

int linux_load_16(struct boot_layout *l, const struct bzimage *z,
                  struct boot_image *out, struct err *e)
{
    bool modern = z->version >= 0x202 && z->high;
    uint32_t top = modern ? STACK_TOP : STACK_TOP_OLD;
    uint8_t p[H_LIMIT];
    uint64_t initrd;
    struct bzimage at_1mb = *z;
    int r;

    if (z->setup_size + STACK_MIN > top)
        return err_set(e, LE_FORMAT,
                       "%s has too large a real-mode part for its entry",
                       l->req->kernel.name);
    /* This entry jumps to code32_start: keep to the protocol's default. */
    if (z->high)
        at_1mb.load = PC_MEGABYTE;
    z = &at_1mb;
    r = layout_claim(l, REAL_BASE, top, "the real-mode kernel", e);
    if (!r)
        r = boot_put_cmdline(l, REAL_BASE + top, PC_EBDA - REAL_BASE - top,
                             NULL, z->cmdline_max, e);
    if (!r)
        r = layout_claim(l, z->load, z->code_size, "the kernel", e);
    if (!r && z->high && z->runtime_end > z->load + z->code_size)
        r = layout_claim(l, z->load + z->code_size,
                         z->runtime_end - z->load - z->code_size,
                         "the unpacked kernel", e);
    if (!r)
        r = linux_put_initrd(l, z, &initrd, e);
    if (r)
        return r;
    memcpy(p, z->file, sizeof p);
    linux_set_header(p, z, initrd, l->req->initrd.n);
    if (z->version >= 0x201) {
        store_le16(p + H_HEAP_END_PTR, (uint16_t)(top - STACK_MIN));
        p[H_LOADFLAGS] |= CAN_USE_HEAP;
    }
    if (z->version >= 0x202) {
        store_le32(p + H_CMD_LINE_PTR, REAL_BASE + top);
    } else {
        store_le16(p + P_CL_MAGIC, CL_MAGIC);
        store_le16(p + P_CL_OFFSET, (uint16_t)top);
        store_le16(p + H_SETUP_MOVE_SIZE, (uint16_t)(top + CMDLINE_ROOM_OLD));
    }
    r = boot_store(l, REAL_BASE, z->file, z->setup_size, e);
    if (!r)
        r = boot_store(l, REAL_BASE, p, sizeof p, e);
    if (!r)
        r = boot_store(l, z->load, z->file + z->setup_size, z->code_size, e);
    *out = (struct boot_image){
        .mode = BOOT_MODE_REAL,
        .cs = ENTRY_SEG,
        .ds = REAL_SEG,
        .rsp = top,
        .how = "bzImage, 16-bit entry",
    };
    return r;
}
