/*
 * The PVH boot protocol (Xen public headers, arch-x86/hvm/start_info.h; Xen
 * docs, "x86/HVM direct boot ABI"): 32-bit flat protected mode, ebx points to
 * hvm_start_info, version 1.
 */
#include "base/endian.h"
#include "machine/boot_internal.h"

enum {
    START_MAGIC = 0x336ec578, /* "xEn3" with bit 7 of the E set */
    START_VERSION = 1,
    START_SIZE = 56,
    MODULE_SIZE = 32,
    MAP_ENTRY_SIZE = 24,
    MODULE_OFF = 64, /* from BOOT_INFO */
    MAP_OFF = 128,

    INITRD_LIMIT_32 = 0x38000000, /* what 32-bit kernels map for certain */
};

static int put_start_info(struct boot_layout *l, uint64_t initrd, struct err *e)
{
    const struct boot_request *q = l->req;
    uint8_t p[MAP_OFF + E820_MAX * MAP_ENTRY_SIZE] = {0};
    uint8_t *map = p + MAP_OFF, *module = p + MODULE_OFF;

    store_le32(p, START_MAGIC);
    store_le32(p + 4, START_VERSION);
    if (q->initrd.p) {
        store_le32(p + 12, 1); /* modules */
        store_le64(p + 16, BOOT_INFO + MODULE_OFF);
        store_le64(module, initrd);
        store_le64(module + 8, q->initrd.n);
    }
    store_le64(p + 24, BOOT_CMDLINE);
    store_le64(p + 32, q->rsdp);
    store_le64(p + 40, BOOT_INFO + MAP_OFF);
    store_le32(p + 48, q->map->n);
    for (unsigned i = 0; i < q->map->n; i++) {
        store_le64(map + i * MAP_ENTRY_SIZE, q->map->e[i].base);
        store_le64(map + i * MAP_ENTRY_SIZE + 8, q->map->e[i].len);
        store_le32(map + i * MAP_ENTRY_SIZE + 16, q->map->e[i].type);
    }
    return boot_store(l, BOOT_INFO, p, sizeof p, e);
}

int pvh_load(struct boot_layout *l, const struct boot_bytes *file,
             const struct elf_image *elf, struct boot_image *out, struct err *e)
{
    const struct boot_request *q = l->req;
    uint64_t initrd = 0;
    int r;

    if (elf->wide && !q->long_mode)
        return err_set(e, LE_UNSUPPORTED,
                       "%s is a 64-bit kernel, but the CPU model has no long "
                       "mode; choose another with --cpu",
                       file->name);
    if (!elf->has_pvh)
        return err_set(e, LE_UNSUPPORTED, "%s has no PVH note", file->name);
    if (!elf_holds(elf, elf->pvh_entry))
        return err_set(e, LE_FORMAT,
                       "%s is damaged: its PVH entry 0x%x is not part of it",
                       file->name, elf->pvh_entry);
    r = layout_claim(l, BOOT_INFO, BOOT_INFO_MAX, "the start record", e);
    if (!r)
        r = boot_put_gdt(l, BOOT_MODE_PROTECTED, e);
    if (!r)
        r = boot_put_cmdline(l, BOOT_CMDLINE, BOOT_CMDLINE_MAX, NULL,
                             BOOT_CMDLINE_MAX, e);
    if (!r)
        r = elf_load(l, file, elf, e);
    if (!r && q->initrd.p) {
        r = layout_place_high(l, q->initrd.n, PAGE_SIZE,
                              elf->wide ? PC_LOW_RAM_MAX : INITRD_LIMIT_32,
                              q->initrd.name, &initrd, e);
        if (!r)
            r = boot_store(l, initrd, q->initrd.p, q->initrd.n, e);
    }
    if (!r)
        r = put_start_info(l, initrd, e);
    if (r)
        return r;
    *out = (struct boot_image){
        .mode = BOOT_MODE_PROTECTED,
        .rip = elf->pvh_entry,
        .rbx = BOOT_INFO,
        .cs = BOOT_CS,
        .ds = BOOT_DS,
        .gdt = BOOT_GDT,
        .how = elf->wide ? "ELF64, PVH entry" : "ELF32, PVH entry",
    };
    return 0;
}
