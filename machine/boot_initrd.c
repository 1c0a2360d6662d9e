/*
 * Is an initrd what Linux can use? Kernels notice late and panic; here a cut
 * or damaged file is named before the guest starts. Formats: cpio "newc"
 * (kernel Documentation, driver-api/early-userspace/buffer-format.rst), packed
 * or not, one after another; and the file systems that the kernel knows as
 * RAM disks (init/do_mounts_rd.c), which are passed on unseen.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "base/libc.h"
#include "lodge/host.h"
#include "machine/boot_linux.h"

enum {
    CPIO_HEADER = 110,  /* magic and thirteen fields of eight hex digits */
    CPIO_FILESIZE = 54, /* where the fields are */
    CPIO_NAMESIZE = 94, /* with the NUL */
    UNPACKED_MAX = 1 << 30,
};

static bool has(const struct boot_bytes *f, uint64_t at, const char *magic)
{
    uint64_t n = strlen(magic);

    return range_ok(at, n, f->n) && !memcmp(f->p + at, magic, n);
}

static bool is_cpio(const struct boot_bytes *f, uint64_t at)
{
    return has(f, at, "070701") || has(f, at, "070702");
}

static bool hex_field(const uint8_t *p, uint64_t *out)
{
    *out = 0;
    for (unsigned n = 0; n < 8; n++) {
        unsigned c = p[n], lower = c | 0x20;

        if (c >= '0' && c <= '9')
            *out = *out << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *out = *out << 4 | (lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* From the member at *at to the next one's place; *last: it ends the archive.
   False: there is not all of it. */
static bool cpio_member(const struct boot_bytes *f, uint64_t *at, bool *last)
{
    uint64_t name = *at + CPIO_HEADER, name_size, size, data;

    if (!is_cpio(f, *at) || !range_ok(*at, CPIO_HEADER, f->n) ||
        !hex_field(f->p + *at + CPIO_NAMESIZE, &name_size) ||
        !hex_field(f->p + *at + CPIO_FILESIZE, &size) ||
        !range_ok(name, name_size, f->n))
        return false;
    data = align_up(name + name_size, 4);
    *last = has(f, name, "TRAILER!!!");
    *at = align_up(data + size, 4);
    /* The padding at the very end may be missing. */
    return data + size <= f->n || (*last && !size);
}

/* As in Linux, the end of the file also ends an archive. */
static bool cpio_archive(const struct boot_bytes *f, uint64_t *at)
{
    bool last = false;

    while (!last && *at < f->n)
        if (!cpio_member(f, at, &last))
            return false;
    return true;
}

static int damaged(const struct boot_bytes *f, const char *how, struct err *e)
{
    return err_set(e, LE_FORMAT,
                   "%s is truncated or damaged: %s; make or fetch the initrd "
                   "again",
                   f->name, how);
}

/* Unpacked for the sake of its checksum. What cannot be tried is let pass. */
static int check_packed(const struct boot_bytes *f, uint64_t at,
                        enum host_pack format, uint64_t ram, struct err *e)
{
    size_t cap = (size_t)MIN(ram, (uint64_t)UNPACKED_MAX), len;
    void *to = host_ram_alloc(cap);
    struct err why = {0};
    int r = 0;

    if (to)
        r = host_unpack(format, f->p + at, f->n - at, to, cap, &len, &why);
    host_ram_free(to, cap);
    return r == -LE_FORMAT ? damaged(f, why.text, e) : 0;
}

/* A file system to be a RAM disk, or a packing that Lodge does not know. */
static bool is_other(const struct boot_bytes *f)
{
    static const struct {
        uint16_t at;
        const char *magic;
    } kinds[] = {
        {0, "-rom1fs-"},
        {0, "hsqs"},
        {0, "\x45\x3d\xcd\x28"},
        {0x200, "-rom1fs-"},
        {0x200, "\x45\x3d\xcd\x28"},
        {1024 + 56, "\x53\xef"}, /* ext2 and its heirs */
        {1024 + 16, "\x7f\x13"},
        {1024 + 16, "\x8f\x13"}, /* minix */
        {0, "\x89LZO"},
    };

    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
        if (has(f, kinds[k].at, kinds[k].magic))
            return true;
    return false;
}

/* Other systems come as bzImages, too, and take what they like. Linux gives
   its version; it begins with a digit. */
static bool is_linux_proper(const struct bzimage *z)
{
    uint64_t at = load_le16(z->file + H_KERNEL_VERSION);

    return at && range_ok(at + 0x200, 1, MIN((uint64_t)z->setup_size, z->n)) &&
           z->file[at + 0x200] >= '1' && z->file[at + 0x200] <= '9';
}

int linux_check_initrd(const struct boot_request *q, const struct bzimage *z,
                       struct err *e)
{
    const struct boot_bytes *f = &q->initrd;
    enum host_pack format = PACK_NONE;
    uint64_t at = 0;

    if (!f->p || !is_linux_proper(z))
        return 0;
    while (is_cpio(f, at)) {
        if (!cpio_archive(f, &at))
            return damaged(f, "the cpio archive ends too early", e);
        while (at < f->n && !f->p[at])
            at++;
        if (at >= f->n)
            return 0;
    }
    format = host_pack_probe(f->p + at, (size_t)(f->n - at));
    if (format != PACK_NONE)
        return check_packed(f, at, format, e820_low_end(q->map), e);
    if (!at && !is_other(f))
        return err_set(e, LE_FORMAT,
                       "%s is no initrd: neither a cpio archive (newc), "
                       "compressed or not, nor a file system that Linux takes",
                       f->name);
    return 0;
}
