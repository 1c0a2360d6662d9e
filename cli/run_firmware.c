/* --firmware: which files, and where the settings of a UEFI are kept. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/run.h"
#include "image/registry.h"

enum { ROM_FILE_MAX = 16 << 20 };

/* What --firmware names, as Debian packages it. */
static const struct {
    const char *name, *package, *code;
    const char *vars, *secure_vars; /* what the settings begin as */
} known[] = {
    {"bios", "seabios", "/usr/share/seabios/bios-256k.bin", NULL, NULL},
    {"uefi", "ovmf", "/usr/share/OVMF/OVMF_CODE_4M.fd",
     "/usr/share/OVMF/OVMF_VARS_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"},
};

#define VGA_BIOS "/usr/share/seabios/vgabios-stdvga.bin"

int run_firmware_field(void *ctx, const char *key, const char *v, struct err *e)
{
    struct run_firmware *f = ctx;

    if (!key) {
        if (!v[0] || strlen(v) >= sizeof f->name)
            return err_set(e, LE_USAGE,
                           "--firmware: '%.40s' is neither bios nor uefi nor "
                           "a file name",
                           v);
        strcpy(f->name, v);
        return 0;
    }
    if (!strcmp(key, "secure") && !v) {
        f->secure = true;
        return 0;
    }
    if (!strcmp(key, "vars") && v && v[0] && strlen(v) < sizeof f->vars) {
        strcpy(f->vars, v);
        return 0;
    }
    return err_set(e, LE_USAGE,
                   "--firmware: '%s%s%s' is none of secure, vars=FILE", key,
                   v ? "=" : "", v ? v : "");
}

static int read_bytes(const char *path, const char *package,
                      struct boot_bytes *out, struct err *e)
{
    void *data;
    size_t n;

    if (package && access(path, F_OK))
        return err_set(e, LE_IO,
                       "--firmware: %s is missing; install the package %s, or "
                       "name a file",
                       path, package);
    if (host_file_read(path, ROM_FILE_MAX, &data, &n, e) < 0)
        return err_prefix(e, "--firmware");
    *out = (struct boot_bytes){.p = data, .n = n, .name = path};
    return 0;
}

/* A new file with the settings as the package has them. */
static int make_vars(const char *path, const struct boot_bytes *from,
                     struct err *e)
{
    FILE *f = fopen(path, "wxe");
    bool ok;

    if (!f)
        return err_set(e, LE_IO, "--firmware: vars=%s: %s", path,
                       strerror(errno));
    ok = fwrite(from->p, 1, from->n, f) == from->n;
    ok = fclose(f) == 0 && ok;
    if (ok)
        return 0;
    unlink(path);
    return err_set(e, LE_IO, "--firmware: vars=%s cannot be written: %s", path,
                   strerror(errno));
}

/* pc->vars holds the package's; what is kept in a file takes its place. */
static int open_vars(const char *path, struct loop *loop, struct pc_config *pc,
                     struct err *e)
{
    struct image_options o = {.path = path, .format = "raw"};
    struct boot_bytes fresh = pc->vars;
    int rc = 0;

    if (access(path, F_OK))
        rc = make_vars(path, &fresh, e);
    if (rc == 0 && image_open(&o, loop, &pc->vars_disk, e) < 0)
        rc = err_prefix(e, "--firmware");
    if (rc == 0)
        rc = read_bytes(path, NULL, &pc->vars, e);
    if (rc)
        return rc;
    if (pc->vars.n != fresh.n)
        rc = err_set(e, LE_USAGE,
                     "--firmware: vars=%s has %zu bytes where this firmware "
                     "keeps %zu; name a new file",
                     path, pc->vars.n, fresh.n);
    host_file_free((void *)(uintptr_t)fresh.p, fresh.n);
    return rc;
}

int run_firmware_open(const struct run_firmware *f, struct loop *loop,
                      struct pc_config *pc, struct err *e)
{
    unsigned n = 0;
    const char *vars;
    int rc;

    while (n < ARRAY_LEN(known) && strcmp(known[n].name, f->name))
        n++;
    vars = n == ARRAY_LEN(known) ? NULL
           : f->secure           ? known[n].secure_vars
                                 : known[n].vars;
    if ((f->secure || f->vars[0]) && !vars)
        return err_set(e, LE_USAGE,
                       "--firmware %s keeps no settings; secure and vars= go "
                       "with uefi",
                       f->name);
    if (n < ARRAY_LEN(known))
        rc = read_bytes(known[n].code, known[n].package, &pc->firmware, e);
    else
        rc = read_bytes(f->name, NULL, &pc->firmware, e);
    if (rc == 0 && vars)
        rc = read_bytes(vars, known[n].package, &pc->vars, e);
    if (rc == 0 && f->vars[0])
        rc = open_vars(f->vars, loop, pc, e);
    if (rc == 0 && !access(VGA_BIOS, R_OK))
        rc = read_bytes(VGA_BIOS, NULL, &pc->vga_bios, e);
    return rc;
}

bool run_boots_net(const struct run_request *w)
{
    return memchr(w->boot, PC_BOOT_NET, sizeof w->boot);
}

/* By the device class. */
static const struct {
    const char *model, *path;
} net_roms[] = {
    {"virtio-net", "/usr/lib/ipxe/qemu/pxe-virtio.rom"},
    {"e1000", "/usr/lib/ipxe/qemu/pxe-e1000.rom"},
    {"rtl8139", "/usr/lib/ipxe/qemu/pxe-rtl8139.rom"},
    {"ne2000", "/usr/lib/ipxe/qemu/pxe-ne2k_pci.rom"},
};
_Static_assert(ARRAY_LEN(net_roms) <= PC_NET_ROMS, "a ROM for each model");

static bool has_card(const struct run_request *w, const char *model)
{
    for (unsigned i = 0; i < w->nnics; i++)
        if (!strcmp(w->nic[i].model, model))
            return true;
    return false;
}

int run_net_roms(const struct run_request *w, struct pc_config *pc,
                 struct err *e)
{
    int rc = 0;

    if (!run_boots_net(w) || strcmp(w->firmware.name, "bios"))
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(net_roms) && !rc; i++) {
        if (!has_card(w, net_roms[i].model))
            continue;
        if (access(net_roms[i].path, F_OK))
            return err_set(e, LE_IO,
                           "--boot net: %s is missing; install the package "
                           "ipxe-qemu",
                           net_roms[i].path);
        rc = read_bytes(net_roms[i].path, NULL, &pc->net_rom[pc->nnet_roms], e);
        pc->nnet_roms += rc == 0;
    }
    return rc;
}

void run_firmware_close(struct pc_config *pc)
{
    struct boot_bytes *all[] = {&pc->firmware, &pc->vars, &pc->vga_bios};

    for (unsigned n = 0; n < pc->nnet_roms; n++)
        host_file_free((void *)(uintptr_t)pc->net_rom[n].p, pc->net_rom[n].n);
    if (pc->vars_disk)
        pc->vars_disk->ops->close(pc->vars_disk);
    for (unsigned n = 0; n < ARRAY_LEN(all); n++)
        host_file_free((void *)(uintptr_t)all[n]->p, all[n]->n);
}

int run_boot_order(const char *text, uint8_t order[PC_BOOT_MAX], struct err *e)
{
    static const char *const kinds[] = {[PC_BOOT_FLOPPY] = "floppy",
                                        [PC_BOOT_DISK] = "disk",
                                        [PC_BOOT_CDROM] = "cdrom",
                                        [PC_BOOT_NET] = "net"};
    unsigned n = 0;

    while (*text && n < PC_BOOT_MAX) {
        size_t len = strcspn(text, ",");
        unsigned k = 1;

        while (k < ARRAY_LEN(kinds) &&
               (strlen(kinds[k]) != len || strncmp(kinds[k], text, len)))
            k++;
        if (k == ARRAY_LEN(kinds))
            break;
        order[n++] = (uint8_t)k;
        text += len;
        text += *text == ',' && text[1];
    }
    if (*text || !n)
        return err_set(e, LE_USAGE,
                       "--boot: '%s' is none of disk, cdrom, floppy, net, or "
                       "some of them with commas",
                       text);
    return 0;
}
