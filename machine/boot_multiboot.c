/*
 * Multiboot 0.6.96 ("version 1"): kernels in ELF or with load addresses in
 * their header (the "a.out kludge"), one module, memory map, command line.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "machine/boot_internal.h"

enum {
    HEADER_MAGIC = 0x1badb002,
    LOADED_MAGIC = 0x2badb002,
    HEADER_WITHIN = 8192,

    /* Header flags */
    WANTS_VIDEO = 1 << 2,
    MUST_MASK = 0xffff,  /* what a loader must refuse if it does not know it */
    MUST_KNOWN = 0x0003, /* page-aligned modules, memory size */
    HAS_ADDRESSES = 1 << 16,

    /* Information flags */
    INFO_MEM = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODS = 1 << 3,
    INFO_MMAP = 1 << 6,
    INFO_LOADER = 1 << 9,

    /* Places in the information page, from BOOT_INFO */
    INFO_SIZE = 88,
    MODULE_OFF = 0x80,
    LOADER_OFF = 0xa0,
    NAME_OFF = 0xc0, /* of the module, cut to fit */
    NAME_MAX = 0x140,
    MMAP_OFF = 0x200,
    MMAP_ENTRY = 24,

    CONVENTIONAL_KB = 639,
};

struct multiboot_header {
    uint32_t off; /* in the file */
    uint32_t flags;
    uint32_t header_addr, load_addr, load_end, bss_end, entry;
};

static bool find_header(const struct boot_bytes *f, struct multiboot_header *h)
{
    size_t end = MIN(f->n, (size_t)HEADER_WITHIN);

    for (size_t off = 0; off + 12 <= end; off += 4) {
        const uint8_t *p = f->p + off;
        uint32_t magic = load_le32(p), flags = load_le32(p + 4);

        if (magic != HEADER_MAGIC || magic + flags + load_le32(p + 8))
            continue;
        *h = (struct multiboot_header){.off = (uint32_t)off, .flags = flags};
        if (!(flags & HAS_ADDRESSES))
            return true;
        if (off + 32 > f->n)
            return false;
        h->header_addr = load_le32(p + 12);
        h->load_addr = load_le32(p + 16);
        h->load_end = load_le32(p + 20);
        h->bss_end = load_le32(p + 24);
        h->entry = load_le32(p + 28);
        return true;
    }
    return false;
}

bool multiboot_is(const struct boot_bytes *file)
{
    struct multiboot_header h;

    return find_header(file, &h);
}

static int check_flags(const struct boot_layout *l,
                       const struct multiboot_header *h, struct err *e)
{
    uint32_t unknown = h->flags & MUST_MASK & ~(uint32_t)MUST_KNOWN;

    if (unknown & WANTS_VIDEO)
        return err_set(e, LE_UNSUPPORTED,
                       "%s requires that a video mode is set for it, which "
                       "Lodge does not do without firmware",
                       l->req->kernel.name);
    if (unknown)
        return err_set(e, LE_UNSUPPORTED,
                       "%s requires multiboot features that Lodge does not "
                       "know (flags 0x%x)",
                       l->req->kernel.name, unknown);
    return 0;
}

static int bad_addresses(const struct boot_layout *l, struct err *e)
{
    return err_set(e, LE_FORMAT,
                   "%s has a multiboot header whose addresses contradict each "
                   "other or the file",
                   l->req->kernel.name);
}

/* Loads by the addresses in the header. */
static int load_by_header(struct boot_layout *l,
                          const struct multiboot_header *h, struct err *e)
{
    const struct boot_bytes *k = &l->req->kernel;
    uint64_t before, from, text, total;
    int r;

    if (h->header_addr < h->load_addr)
        return bad_addresses(l, e);
    before = h->header_addr - h->load_addr;
    if (before > h->off)
        return bad_addresses(l, e);
    from = h->off - before;
    text = k->n - from;
    if (h->load_end) {
        if (h->load_end < h->load_addr || h->load_end - h->load_addr > text)
            return bad_addresses(l, e);
        text = h->load_end - h->load_addr;
    }
    total = text;
    if (h->bss_end) {
        if (h->bss_end < h->load_addr || h->bss_end - h->load_addr < text)
            return bad_addresses(l, e);
        total = h->bss_end - h->load_addr;
    }
    if (h->entry < h->load_addr || h->entry - h->load_addr >= total)
        return bad_addresses(l, e);
    r = layout_claim(l, h->load_addr, total, "the kernel", e);
    if (!r)
        r = boot_store(l, h->load_addr, k->p + from, text, e);
    return r ? r : boot_zero(l, h->load_addr + text, total - text, e);
}

/* The entry of an ELF file is a linear address where its segments say so. */
static int elf_entry(const struct boot_layout *l, const struct elf_image *elf,
                     uint32_t *entry, struct err *e)
{
    uint64_t at = elf->entry;

    for (unsigned i = 0; i < elf->n; i++) {
        const struct elf_segment *g = &elf->seg[i];

        if (at >= g->vaddr && at - g->vaddr < g->mem_size) {
            at = at - g->vaddr + g->paddr;
            break;
        }
    }
    if (!elf_holds(elf, at))
        return err_set(e, LE_FORMAT,
                       "%s is damaged: its entry 0x%llx is not part of it",
                       l->req->kernel.name, (unsigned long long)at);
    *entry = (uint32_t)at;
    return at >> 32 ? bad_addresses(l, e) : 0;
}

static int load_kernel(struct boot_layout *l, uint32_t *entry, struct err *e)
{
    struct multiboot_header h;
    struct elf_image elf;
    int r;

    if (!find_header(&l->req->kernel, &h))
        return bad_addresses(l, e);
    r = check_flags(l, &h, e);
    if (r)
        return r;
    if (h.flags & HAS_ADDRESSES) {
        *entry = h.entry;
        return load_by_header(l, &h, e);
    }
    if (!elf_is(&l->req->kernel))
        return err_set(e, LE_FORMAT,
                       "%s has a multiboot header without load addresses but "
                       "is no ELF file",
                       l->req->kernel.name);
    r = elf_parse(&l->req->kernel, &elf, e);
    if (!r)
        r = elf_entry(l, &elf, entry, e);
    return r ? r : elf_load(l, &l->req->kernel, &elf, e);
}

static void put_module(const struct boot_layout *l, uint8_t *info,
                       uint64_t initrd)
{
    const char *name = l->req->initrd.name ? l->req->initrd.name : "";
    size_t n = MIN(strlen(name), (size_t)NAME_MAX - 1);

    store_le32(info + 20, 1);
    store_le32(info + 24, BOOT_INFO + MODULE_OFF);
    store_le32(info + MODULE_OFF, (uint32_t)initrd);
    store_le32(info + MODULE_OFF + 4, (uint32_t)(initrd + l->req->initrd.n));
    store_le32(info + MODULE_OFF + 8, BOOT_INFO + NAME_OFF);
    memcpy(info + NAME_OFF, name, n);
}

static int put_info(struct boot_layout *l, uint64_t initrd, struct err *e)
{
    static const char loader[] = "Lodge";
    const struct e820 *map = l->req->map;
    uint8_t info[MMAP_OFF + E820_MAX * MMAP_ENTRY] = {0};
    uint64_t upper = MAX(e820_low_end(map), PC_MEGABYTE) - PC_MEGABYTE;

    store_le32(info,
               INFO_MEM | INFO_CMDLINE | INFO_MODS | INFO_MMAP | INFO_LOADER);
    store_le32(info + 4, CONVENTIONAL_KB);
    store_le32(info + 8, (uint32_t)(upper >> 10));
    store_le32(info + 16, BOOT_CMDLINE);
    if (l->req->initrd.p)
        put_module(l, info, initrd);
    store_le32(info + 44, map->n * MMAP_ENTRY);
    store_le32(info + 48, BOOT_INFO + MMAP_OFF);
    for (unsigned i = 0; i < map->n; i++) {
        uint8_t *entry = info + MMAP_OFF + i * MMAP_ENTRY;

        store_le32(entry, MMAP_ENTRY - 4);
        e820_put(map, i, entry + 4);
    }
    store_le32(info + 64, BOOT_INFO + LOADER_OFF);
    memcpy(info + LOADER_OFF, loader, sizeof loader);
    return boot_store(l, BOOT_INFO, info, sizeof info, e);
}

int multiboot_load(struct boot_layout *l, struct boot_image *out, struct err *e)
{
    const struct boot_bytes *initrd = &l->req->initrd;
    uint64_t at = 0;
    uint32_t entry = 0;
    int r = load_kernel(l, &entry, e);

    if (!r)
        r = layout_claim(l, BOOT_INFO, BOOT_INFO_MAX, "the boot record", e);
    if (!r)
        r = boot_put_gdt(l, BOOT_MODE_PROTECTED, e);
    /* By custom the first word is the kernel's name. */
    if (!r)
        r = boot_put_cmdline(l, BOOT_CMDLINE, BOOT_CMDLINE_MAX,
                             l->req->kernel.name, BOOT_CMDLINE_MAX, e);
    /* Small kernels map little memory, so the module goes low. */
    if (!r && initrd->p)
        r = layout_place_after(l, initrd->n, PAGE_SIZE, PC_LOW_RAM_MAX,
                               initrd->name, &at, e);
    if (!r)
        r = boot_store(l, at, initrd->p, initrd->p ? initrd->n : 0, e);
    if (!r)
        r = put_info(l, at, e);
    *out = (struct boot_image){
        .mode = BOOT_MODE_PROTECTED,
        .rip = entry,
        .rax = LOADED_MAGIC,
        .rbx = BOOT_INFO,
        .cs = BOOT_CS,
        .ds = BOOT_DS,
        .gdt = BOOT_GDT,
        .how = "multiboot",
    };
    return r;
}
