/*
 * Linux kernels as bzImage: what the header says, and the way in. The
 * quickest is to unpack the kernel here rather than let it unpack itself on
 * the guest's CPU; it then runs where it was linked (its own stub would have
 * moved it to a random place: KASLR), by the same boot_params.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "lodge/host.h"
#include "machine/boot_linux.h"

enum {
    ZIMAGE_LOAD = 0x10000,
    ZIMAGE_MAX = 0x80000,
    ENTRY_64 = 0x200, /* from the start of the code */
    INITRD_LIMIT_OLD = 0x38000000,
    CMDLINE_OLD = 255,
};

bool linux_is(const struct boot_bytes *file)
{
    return file->n >= H_VERSION && load_le16(file->p + H_BOOT_FLAG) == 0xaa55 &&
           !memcmp(file->p + H_MAGIC, "HdrS", 4);
}

static int truncated(const struct boot_request *q, struct err *e)
{
    return err_set(e, LE_FORMAT,
                   "%s is truncated: its header promises more than its %llu "
                   "bytes",
                   q->kernel.name, (unsigned long long)q->kernel.n);
}

static int parse_sizes(const struct boot_request *q, struct bzimage *z,
                       struct err *e)
{
    const uint8_t *p = q->kernel.p;
    unsigned sectors;
    uint64_t sys;

    if (z->n < H_LIMIT)
        return truncated(q, e);
    z->version = load_le16(p + H_VERSION);
    if (z->version < 0x200 || z->version >= 0x300)
        return err_set(e, LE_UNSUPPORTED,
                       "%s follows version %u.%02u of the Linux boot protocol; "
                       "Lodge knows 2.00 to 2.15",
                       q->kernel.name, z->version >> 8, z->version & 0xff);
    sectors = p[H_SETUP_SECTS] ? p[H_SETUP_SECTS] : 4;
    z->setup_size = (sectors + 1) * SECTOR;
    if (z->n <= z->setup_size)
        return truncated(q, e);
    z->code_size = z->n - z->setup_size;
    sys = (uint64_t)load_le32(p + H_SYSSIZE) * 16;
    if (z->version >= 0x204 && z->code_size + 15 < sys)
        return truncated(q, e);
    z->header_end = MIN(0x202u + p[H_JUMP + 1], (unsigned)H_LIMIT);
    return 0;
}

static int parse_payload(const struct boot_request *q, struct bzimage *z,
                         struct err *e)
{
    uint64_t off = load_le32(z->file + H_PAYLOAD_OFFSET);
    uint64_t n = load_le32(z->file + H_PAYLOAD_LENGTH);

    if (z->version < 0x208 || !n)
        return 0;
    if (!range_ok(off, n, z->code_size))
        return truncated(q, e);
    z->payload = z->setup_size + off;
    z->payload_size = n;
    return 0;
}

/* Where the code goes and what memory it needs to unpack itself and run. */
static int parse_place(const struct boot_request *q, struct bzimage *z,
                       struct err *e)
{
    const uint8_t *p = z->file;
    uint64_t size;

    z->high = p[H_LOADFLAGS] & LOADED_HIGH;
    z->relocatable = z->version >= 0x205 && p[H_RELOCATABLE];
    z->load = z->high ? PC_MEGABYTE : ZIMAGE_LOAD;
    z->runtime = PC_MEGABYTE;
    /* Before 2.10 the header does not tell: kernels pack to a third or so. */
    size = z->code_size * 4;
    if (z->version >= 0x20a) {
        z->runtime = load_le64(p + H_PREF_ADDRESS);
        size = load_le32(p + H_INIT_SIZE);
        if (z->relocatable && z->high)
            z->load = z->runtime;
    }
    if (!z->high && z->code_size > ZIMAGE_MAX)
        return err_set(e, LE_FORMAT,
                       "%s is a zImage larger than 512 KB; its header is "
                       "damaged",
                       q->kernel.name);
    if (z->runtime < PC_MEGABYTE ||
        !add_ok(z->runtime, size, &z->runtime_end) ||
        z->runtime_end > PC_LOW_RAM_MAX)
        return err_set(e, LE_FORMAT,
                       "%s is damaged: it asks to run at 0x%llx with %llu "
                       "bytes of memory",
                       q->kernel.name, (unsigned long long)z->runtime,
                       (unsigned long long)size);
    return 0;
}

int linux_parse(const struct boot_request *q, struct bzimage *z, struct err *e)
{
    const uint8_t *p = q->kernel.p;
    uint64_t limit;
    int r;

    *z = (struct bzimage){.file = p, .n = q->kernel.n};
    r = parse_sizes(q, z, e);
    if (!r)
        r = parse_payload(q, z, e);
    if (!r)
        r = parse_place(q, z, e);
    if (r)
        return r;
    z->has_64 =
        z->version >= 0x20c && load_le16(p + H_XLOADFLAGS) & XLF_KERNEL_64;
    if (z->has_64 && z->code_size <= ENTRY_64)
        return truncated(q, e);
    limit = (uint64_t)load_le32(p + H_INITRD_ADDR_MAX) + 1;
    z->initrd_limit = z->version >= 0x203 ? limit : INITRD_LIMIT_OLD;
    z->initrd_limit = MIN(z->initrd_limit, PC_LOW_RAM_MAX);
    z->cmdline_max = CMDLINE_OLD;
    if (z->version >= 0x206)
        z->cmdline_max = load_le32(p + H_CMDLINE_SIZE);
    if (z->has_64 && !q->long_mode)
        return err_set(e, LE_UNSUPPORTED,
                       "%s is a 64-bit kernel, but the CPU model has no long "
                       "mode; choose another with --cpu",
                       q->kernel.name);
    return 0;
}

int linux_put_initrd(struct boot_layout *l, const struct bzimage *z,
                     uint64_t *base, struct err *e)
{
    const struct boot_bytes *initrd = &l->req->initrd;
    int r;

    *base = 0;
    if (!initrd->p)
        return 0;
    r = layout_place_high(l, initrd->n, PAGE_SIZE, z->initrd_limit,
                          initrd->name, base, e);
    return r ? r : boot_store(l, *base, initrd->p, initrd->n, e);
}

void linux_set_header(uint8_t *p, const struct bzimage *z, uint64_t initrd,
                      uint64_t initrd_size)
{
    store_le16(p + H_VID_MODE, VGA_NORMAL);
    p[H_TYPE_OF_LOADER] = LOADER_UNKNOWN;
    store_le32(p + H_RAMDISK_IMAGE, (uint32_t)initrd);
    store_le32(p + H_RAMDISK_SIZE, (uint32_t)initrd_size);
    if (z->high)
        store_le32(p + H_CODE32_START, (uint32_t)z->load);
}

/* A list of one: random bytes for the kernel's generator. */
static int put_seed(struct boot_layout *l, uint8_t *params,
                    const struct bzimage *z, struct err *e)
{
    const gpa_t at = BOOT_INFO + PARAMS_SIZE;
    uint8_t data[16 + BOOT_SEED_SIZE] = {0};

    if (!l->req->seed || z->version < 0x209)
        return 0;
    store_le32(data + 8, SETUP_RNG_SEED);
    store_le32(data + 12, BOOT_SEED_SIZE);
    memcpy(data + 16, l->req->seed, BOOT_SEED_SIZE);
    store_le64(params + H_SETUP_DATA, at);
    return boot_store(l, at, data, sizeof data, e);
}

int linux_put_params(struct boot_layout *l, const struct bzimage *z,
                     struct err *e)
{
    const struct e820 *map = l->req->map;
    uint8_t p[PARAMS_SIZE] = {0};
    uint64_t initrd,
        above_mb = MAX(e820_low_end(map), PC_MEGABYTE) - PC_MEGABYTE;
    int r = layout_claim(l, BOOT_INFO, BOOT_INFO_MAX, "boot_params", e);

    if (!r)
        r = boot_put_cmdline(l, BOOT_CMDLINE, BOOT_CMDLINE_MAX, NULL,
                             z->cmdline_max, e);
    if (!r)
        r = linux_put_initrd(l, z, &initrd, e);
    if (r)
        return r;
    memcpy(p + H_SETUP_SECTS, z->file + H_SETUP_SECTS,
           z->header_end - H_SETUP_SECTS);
    linux_set_header(p, z, initrd, l->req->initrd.n);
    store_le32(p + H_CMD_LINE_PTR, BOOT_CMDLINE);
    store_le16(p + P_EXT_MEM_K, (uint16_t)MIN(above_mb >> 10, 0xffffu));
    store_le32(p + P_ALT_MEM_K, (uint32_t)(above_mb >> 10));
    if (z->version >= 0x20e)
        store_le64(p + P_ACPI_RSDP, l->req->rsdp);
    p[P_E820_ENTRIES] = (uint8_t)map->n;
    for (unsigned i = 0; i < map->n; i++)
        e820_put(map, i, p + P_E820_TABLE + i * E820_WIRE_SIZE);
    r = put_seed(l, p, z, e);
    return r ? r : boot_store(l, BOOT_INFO, p, sizeof p, e);
}

/* The places it is loaded to and unpacks to, which may overlap. */
static int claim_packed(struct boot_layout *l, const struct bzimage *z,
                        struct err *e)
{
    uint64_t end = z->load + z->code_size;
    int r;

    if (end < z->runtime || z->runtime_end < z->load) {
        r = layout_claim(l, z->load, z->code_size, "the kernel", e);
        return r ? r
                 : layout_claim(l, z->runtime, z->runtime_end - z->runtime,
                                "the unpacked kernel", e);
    }
    r = layout_claim(l, MIN(z->load, z->runtime),
                     MAX(end, z->runtime_end) - MIN(z->load, z->runtime),
                     "the kernel", e);
    return r;
}

/* The 32- and 64-bit entries: it unpacks itself. */
static int load_packed(struct boot_layout *l, const struct bzimage *z,
                       enum boot_mode mode, struct boot_image *out,
                       struct err *e)
{
    bool wide = mode == BOOT_MODE_LONG;
    int r = boot_put_gdt(l, mode, e);

    if (!r && wide)
        r = boot_put_pages(l, e);
    if (!r)
        r = claim_packed(l, z, e);
    if (!r)
        r = boot_store(l, z->load, z->file + z->setup_size, z->code_size, e);
    if (!r)
        r = linux_put_params(l, z, e);
    *out = (struct boot_image){
        .mode = mode,
        .rip = wide ? z->load + ENTRY_64 : z->load,
        .rsi = BOOT_INFO,
        .cs = BOOT_CS,
        .ds = BOOT_DS,
        .gdt = BOOT_GDT,
        .cr3 = wide ? BOOT_PAGES : 0,
        .how = wide ? "bzImage, 64-bit entry" : "bzImage, 32-bit entry",
    };
    return r;
}

/*
 * The unpacked kernel, to be freed by the caller. -LE_FORMAT: it is damaged;
 * any other error: not something to unpack here.
 */
static int unpack(const struct boot_request *q, const struct bzimage *z,
                  struct boot_bytes *out, struct err *e)
{
    const uint8_t *p = z->file + z->payload;
    size_t n = (size_t)z->payload_size, size, len;
    enum host_pack format;
    struct err why = {0};
    uint8_t *to;
    int r;

    if (q->self_unpack || n < 16 || z->version < 0x20a)
        return err_set(e, LE_UNSUPPORTED, "%s has nothing to unpack",
                       q->kernel.name);
    /* The unpacked size ends a gzip stream, and is put behind all others. */
    size = load_le32(p + n - 4);
    format = host_pack_probe(p, n);
    if (format != PACK_GZIP)
        n -= 4;
    /* init_size has room for all that it unpacks to. */
    if (format == PACK_NONE || size < PAGE_SIZE ||
        size > z->runtime_end - z->runtime)
        return err_set(e, LE_UNSUPPORTED, "%s is packed in an unknown way",
                       q->kernel.name);
    to = host_alloc(size);
    if (!to)
        return err_set(e, LE_NOMEM, "no memory to unpack %s", q->kernel.name);
    r = host_unpack(format, p, n, to, size, &len, &why);
    if (!r && len != size)
        r = err_set(&why, LE_UNSUPPORTED, "it unpacks to an unexpected size");
    if (!r) {
        *out = (struct boot_bytes){to, size, q->kernel.name};
        return 0;
    }
    host_free(to);
    return r == -LE_FORMAT ? err_set(e, LE_FORMAT, "%s is corrupt: %s",
                                     q->kernel.name, why.text)
                           : err_set(e, -r, "%s", why.text);
}

/* Is it surely a kernel that starts by boot_params where it was linked? */
static bool is_plain_vmlinux(const struct bzimage *z,
                             const struct elf_image *elf)
{
    uint64_t lowest = UINT64_MAX;

    for (unsigned i = 0; i < elf->n; i++)
        lowest = MIN(lowest, elf->seg[i].paddr);
    return elf->wide == z->has_64 && elf_holds(elf, elf->entry) &&
           lowest == z->runtime;
}

static int load_vmlinux(struct boot_layout *l, const struct bzimage *z,
                        const struct boot_bytes *file,
                        const struct elf_image *elf, struct boot_image *out,
                        struct err *e)
{
    enum boot_mode mode = elf->wide ? BOOT_MODE_LONG : BOOT_MODE_PROTECTED;
    int r = boot_put_gdt(l, mode, e);

    if (!r && elf->wide)
        r = boot_put_pages(l, e);
    if (!r)
        r = elf_load(l, file, elf, e);
    if (!r)
        r = linux_put_params(l, z, e);
    *out = (struct boot_image){
        .mode = mode,
        .rip = elf->entry,
        .rsi = BOOT_INFO,
        .cs = BOOT_CS,
        .ds = BOOT_DS,
        .gdt = BOOT_GDT,
        .cr3 = elf->wide ? BOOT_PAGES : 0,
        .how = elf->wide ? "bzImage unpacked by the host, 64-bit kernel"
                         : "bzImage unpacked by the host, 32-bit kernel",
    };
    return r;
}

/*
 * Unpacks the kernel and loads it. *usable: false when another way in may
 * still work (what makes this one impossible is not a defect of the file).
 */
static int load_unpacked(struct boot_layout *l, const struct bzimage *z,
                         struct boot_image *out, bool *usable, struct err *e)
{
    const struct boot_request *q = l->req;
    struct boot_bytes file;
    struct elf_image elf;
    int r = unpack(q, z, &file, e);

    *usable = r == -LE_FORMAT;
    if (r)
        return r;
    r = elf_parse(&file, &elf, e);
    if (!r && q->entry == BOOT_PVH)
        r = pvh_load(l, &file, &elf, out, e);
    else if (!r && is_plain_vmlinux(z, &elf)) {
        *usable = true;
        r = load_vmlinux(l, z, &file, &elf, out, e);
    } else if (!r)
        r = err_set(e, LE_UNSUPPORTED,
                    "%s holds a kernel that only its own stub can start",
                    q->kernel.name);
    host_free((void *)file.p);
    return r;
}

static int missing_entry(const struct boot_request *q, const char *which,
                         struct err *e)
{
    return err_set(e, LE_UNSUPPORTED, "%s has no %s entry", q->kernel.name,
                   which);
}

int linux_load(struct boot_layout *l, struct boot_image *out, struct err *e)
{
    const struct boot_request *q = l->req;
    enum boot_entry entry = q->entry;
    struct bzimage z;
    bool usable;
    int r = linux_parse(q, &z, e);

    /* All at once, so that the text tells the whole need. */
    if (!r && z.version >= 0x20a)
        r = layout_check(l, z.runtime, z.runtime_end - z.runtime, "the kernel",
                         e);
    if (!r)
        r = linux_check_initrd(q, &z, e);
    if (r)
        return r;
    if (entry == BOOT_AUTO || entry == BOOT_ELF || entry == BOOT_PVH) {
        r = load_unpacked(l, &z, out, &usable, e);
        if (!r || usable || entry != BOOT_AUTO)
            return r;
        layout_init(l, q, l->ram);
        /* The 32-bit entry came with 2.02's free command line. */
        entry = z.has_64                       ? BOOT_64
                : z.version >= 0x202 && z.high ? BOOT_32
                                               : BOOT_16;
    }
    if (entry == BOOT_16)
        return linux_load_16(l, &z, out, e);
    if (entry == BOOT_64)
        return z.has_64 ? load_packed(l, &z, BOOT_MODE_LONG, out, e)
                        : missing_entry(q, "64-bit", e);
    return z.high ? load_packed(l, &z, BOOT_MODE_PROTECTED, out, e)
                  : missing_entry(q, "32-bit", e);
}
