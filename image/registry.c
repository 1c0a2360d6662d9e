#include "image/registry.h"

#include "base/libc.h"

extern const struct image_format image_raw;

const struct image_format *const image_formats[] = {&image_raw, NULL};

/*
 * How files of other formats give themselves away, whether or not we can open
 * them: so that a qcow2 file is not shown to a guest as a raw disk. at: from
 * the start, negative: from the end.
 */
static const struct signature {
    const char *format, *suffix;
    int at;
    const char *magic;
    uint8_t n;
} signatures[] = {
    {"qcow2", ".qcow2", 0, "QFI\xfb", 4},
    {"vmdk", ".vmdk", 0, "KDMV", 4},
    {"vmdk", ".vmdk", 0, "COWD", 4},
    {"vmdk", ".vmdk", 0, "# Disk DescriptorFile", 21},
    {"vdi", ".vdi", 64, "\x7f\x10\xda\xbe", 4},
    {"vhdx", ".vhdx", 0, "vhdxfile", 8},
    {"vhd", ".vhd", 0, "conectix", 8},
    {"vhd", ".vpc", -512, "conectix", 8},
    {"parallels", ".hdd", 0, "WithoutFreeSpace", 16},
    {"parallels", ".hds", 0, "WithouFreSpacExt", 16},
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool ends_in(const char *path, const char *suffix)
{
    size_t n = strlen(path), k = strlen(suffix);

    if (n <= k)
        return false;
    for (size_t i = 0; i < k; i++)
        if (lower(path[n - k + i]) != suffix[i])
            return false;
    return true;
}

static const struct image_format *by_name(const char *name)
{
    for (const struct image_format *const *f = image_formats; *f; f++)
        if (!strcmp((*f)->name, name))
            return *f;
    return NULL;
}

static const struct image_format *by_suffix(const char *path)
{
    for (const struct image_format *const *f = image_formats; *f; f++)
        for (const char *const *s = (*f)->suffixes; *s; s++)
            if (ends_in(path, *s))
                return *f;
    return NULL;
}

static int cannot_open(const struct image_options *o, const char *format,
                       struct err *e)
{
    char list[160] = "";
    size_t n = 0;

    for (const struct image_format *const *f = image_formats; *f; f++)
        if (n < sizeof list)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s",
                                  n ? ", " : "", (*f)->name);
    return err_set(e, LE_UNSUPPORTED,
                   "%s: images in the format %.40s cannot be opened, only "
                   "these: %s",
                   o->path, format, list);
}

/* The format that is asked for, by name or by the end of the path. */
static int choose(const struct image_options *o,
                  const struct image_format **out, struct err *e)
{
    if (o->format) {
        *out = by_name(o->format);
        return *out ? 0 : cannot_open(o, o->format, e);
    }
    *out = by_suffix(o->path);
    if (*out)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(signatures); i++)
        if (ends_in(o->path, signatures[i].suffix))
            return cannot_open(o, signatures[i].format, e);
    *out = &image_raw;
    return 0;
}

static bool has_signature(struct host_file *f, const struct signature *s)
{
    uint64_t size = file_size(f), at = (uint64_t)s->at;
    uint8_t found[32];

    if (s->at < 0) {
        if (size < (uint64_t)-s->at)
            return false;
        at = size - (uint64_t)-s->at;
    }
    return !file_read(f, at, found, s->n) && !memcmp(found, s->magic, s->n);
}

/* Nobody named the format: does the content say another one? */
static int contradict(struct host_file *f, const struct image_options *o,
                      const struct image_format *format, struct err *e)
{
    for (unsigned i = 0; i < ARRAY_LEN(signatures); i++) {
        const struct signature *s = &signatures[i];

        if (strcmp(s->format, format->name) && has_signature(f, s))
            return err_set(e, LE_FORMAT,
                           "%s: it looks like a %s image, but would be "
                           "opened as %s: say which with format=",
                           o->path, s->format, format->name);
    }
    return 0;
}

int image_open(const struct image_options *o, struct loop *loop,
               struct blk **out, struct err *e)
{
    const struct file_options how = {o->readonly, o->temporary};
    const struct image_format *format;
    struct host_file *f;
    int rc = choose(o, &format, e);

    *out = NULL;
    if (rc)
        return rc;
    rc = file_open(o->path, &how, loop, &f, e);
    if (rc)
        return rc;
    if (!o->format)
        rc = contradict(f, o, format, e);
    if (!rc)
        rc = format->open(f, o, out, e);
    if (rc)
        file_close(f);
    return rc;
}
