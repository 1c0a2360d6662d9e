/*
 * Starting with firmware: SeaBIOS and OVMF as they run on QEMU's PC, or any
 * ROM that finds its way in an i440FX machine. The CPU starts in it; here is
 * what it needs: where the ROM is, the flash with its settings, and what
 * fw_cfg and CMOS tell it.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/firmware/fw_cfg.h"
#include "hw/timer/mc146818.h"
#include "lodge/pci.h"
#include "machine/fw_tables.h"
#include "machine/pc_firmware.h"
#include "machine/pc_internal.h"

enum {
    ROM_MAX = 16 << 20,
    SHADOW = 128 << 10, /* what of it also lies below 1 MB */
    ORDER_MAX = 2048,

    CMOS_BOOT_3 = 0x38, /* third device: high nibble; bit 0: no check for
                           a boot signature on floppies */
    CMOS_BOOT_1_2 = 0x3d,

    PM_DEVFN = PCI_DEVFN(1, 3),
    PMBA = 0x40,
};

#define GB (1ull << 30)

struct firmware {
    uint8_t *image;
    size_t size;
    struct region rom, shadow;
    struct dev *cfg;

    struct acpi_links links;
    size_t rsdp; /* offset in tables */
    uint8_t tables[ACPI_SIZE_MAX];
    uint8_t loader[FW_LOADER_MAX];
    uint8_t smbios[SMBIOS_TABLE_MAX], anchor[SMBIOS_ENTRY_SIZE];
    uint8_t map[2 * E820_WIRE_SIZE];
    uint8_t no_retry[4];

    char order[ORDER_MAX]; /* paths, each with a line feed */
    struct {
        uint8_t kind;
        char path[64];
    } path[32];
    unsigned npaths;
};

/* --- the ROM --- */

static int check_rom(const struct boot_bytes *rom, struct err *e)
{
    if (rom->n > ROM_MAX)
        return err_set(e, LE_USAGE,
                       "%s is larger than 16 MB, so it is no firmware of a PC",
                       rom->name);
    if (!rom->n || rom->n % PAGE_SIZE)
        return err_set(e, LE_USAGE,
                       "%s is no firmware: the size of a ROM is a multiple of "
                       "4096 bytes",
                       rom->name);
    return 0;
}

int firmware_map(struct pc *pc, struct err *e)
{
    const struct boot_bytes *rom = &pc->config.firmware;
    struct firmware *fw;
    size_t low = MIN(rom->n, (size_t)SHADOW);
    int r;

    if (!rom->p)
        return 0;
    r = check_rom(rom, e);
    if (r)
        return r;
    fw = pc->firmware = host_alloc(sizeof *fw);
    if (fw)
        fw->image = host_ram_alloc(rom->n);
    if (!fw || !fw->image)
        return err_set(e, LE_NOMEM, "the host has no memory left for a ROM");
    fw->size = rom->n;
    memcpy(fw->image, rom->p, rom->n);
    fw->rom = (struct region){
        .name = "rom", .size = rom->n, .ram = fw->image, .readonly = true};
    fw->shadow = (struct region){.name = "rom below 1 MB",
                                 .size = low,
                                 .ram = fw->image + (rom->n - low),
                                 .readonly = true};
    if (space_map(pc->env->mem, PC_HIGH_RAM_BASE - rom->n, &fw->rom, 0) ||
        space_map(pc->env->mem, PC_MEGABYTE - low, &fw->shadow, 0))
        return err_set(e, LE_NOMEM, "no memory left to map a ROM");
    return 0;
}

void firmware_unmap(struct pc *pc)
{
    struct firmware *fw = pc->firmware;

    if (!fw)
        return;
    space_unmap(&fw->rom);
    space_unmap(&fw->shadow);
    host_ram_free(fw->image, fw->size);
    host_free(fw);
    pc->firmware = NULL;
}

/* --- tables --- */

/* Where firmware has put what lies above 4 GB, if anything does. */
static void find_window(const struct env *env, struct acpi_config *c)
{
    uint64_t first = UINT64_MAX, end = 0, base;

    for (unsigned devfn = 0; devfn < 256; devfn++)
        for (unsigned n = 0; env->pci->dev[devfn] && n < PCI_NBARS; n++) {
            const struct pci_dev *p = env->pci->dev[devfn];

            if (!pci_bar_base(p, n, &base) || base < PC_HIGH_RAM_BASE)
                continue;
            first = MIN(first, base);
            end = MAX(end, base + p->bar[n].region->size);
        }
    if (!end)
        return;
    c->mem64 = align_down(first, GB);
    c->mem64_size = align_up(end, GB) - c->mem64;
}

static void describe(struct pc *pc, struct bios_config *c)
{
    const uint8_t *pm = pc->env->pci->dev[PM_DEVFN]
                            ? pc->env->pci->dev[PM_DEVFN]->config
                            : NULL;

    pc_describe(pc->env, vm_config(pc->vm)->model, pc->ioapic_id, c);
    pc_describe_config(pc, c);
    c->acpi.base = 0;
    c->acpi.mem32 = pc->env->ram_low;
    find_window(pc->env, &c->acpi);
    if (pm && (load_le16(pm + PMBA) & 0xffc0))
        c->acpi.pm_base = load_le16(pm + PMBA) & 0xffc0;
}

/* Of the same size every time: only addresses differ. */
static int build_tables(struct pc *pc, struct err *e)
{
    struct firmware *fw = pc->firmware;
    struct bios_config c = {.map = &pc->map};
    size_t used;
    gpa_t rsdp;
    int r;

    describe(pc, &c);
    r = acpi_build(&c.acpi, fw->tables, sizeof fw->tables, &used, &rsdp,
                   &fw->links, e);
    fw->rsdp = (size_t)rsdp;
    return r;
}

/* The guest asks for the script: by now it has placed its devices. (OVMF has
   them decode their addresses at this moment only.) */
static void refresh_tables(void *ctx)
{
    struct err e;

    (void)build_tables(ctx, &e);
}

static int add_acpi(struct pc *pc, struct err *e)
{
    struct firmware *fw = pc->firmware;
    int r = build_tables(pc, e);
    size_t n;

    if (r)
        return r;
    n = fw_loader_script(&fw->links, (uint32_t)fw->rsdp, fw->loader);
    r = fw_cfg_add_file(fw->cfg, FW_FILE_RSDP, fw->tables + fw->rsdp,
                        ACPI_RSDP_SIZE, NULL, NULL);
    if (!r)
        r = fw_cfg_add_file(fw->cfg, FW_FILE_TABLES, fw->tables, fw->rsdp, NULL,
                            NULL);
    if (!r)
        r = fw_cfg_add_file(fw->cfg, FW_FILE_LOADER, fw->loader, n,
                            refresh_tables, pc);
    return r;
}

static int add_smbios(struct pc *pc, struct err *e)
{
    enum { ANCHOR = 0x1f };
    struct firmware *fw = pc->firmware;
    struct bios_config c = {.map = &pc->map};
    size_t used;
    int r;

    describe(pc, &c);
    r = smbios_build(&c.smbios, 0, fw->smbios, sizeof fw->smbios, &used,
                     fw->anchor, e);
    if (!r)
        r = fw_cfg_add_file(fw->cfg, "etc/smbios/smbios-tables", fw->smbios,
                            used, NULL, NULL);
    if (!r)
        r = fw_cfg_add_file(fw->cfg, "etc/smbios/smbios-anchor", fw->anchor,
                            ANCHOR, NULL, NULL);
    return r;
}

/* --- boot order --- */

void pc_boot_path(struct pc *pc, enum pc_boot kind, const char *path)
{
    struct firmware *fw = pc->firmware;

    if (!fw || fw->npaths == ARRAY_LEN(fw->path) ||
        strlen(path) >= sizeof fw->path[0].path)
        return;
    fw->path[fw->npaths].kind = (uint8_t)kind;
    memcpy(fw->path[fw->npaths++].path, path, strlen(path) + 1);
}

/* The paths of a kind, to the end of the order. */
static void order_kind(struct firmware *fw, unsigned kind)
{
    size_t n = strlen(fw->order);

    for (unsigned i = 0; i < fw->npaths; i++)
        if (fw->path[i].kind == kind)
            n += (size_t)snprintf(fw->order + n, sizeof fw->order - n, "%s\n",
                                  fw->path[i].path);
}

static int add_order(struct pc *pc)
{
    struct firmware *fw = pc->firmware;

    for (unsigned i = 0; i < PC_BOOT_MAX && pc->config.boot[i]; i++)
        order_kind(fw, pc->config.boot[i]);
    if (!fw->order[0])
        return 0;
    return fw_cfg_add_file(fw->cfg, "bootorder", fw->order,
                           strlen(fw->order) + 1, NULL, NULL);
}

/* For a BIOS: kinds of devices by number, as in enum pc_boot. */
static void set_cmos(struct pc *pc)
{
    struct dev *rtc = vm_find_device(pc->vm, "rtc");
    const uint8_t *b = pc->config.boot;

    if (!rtc)
        return;
    mc146818_set_cmos(rtc, CMOS_BOOT_1_2, (uint8_t)(b[0] | b[1] << 4));
    mc146818_set_cmos(rtc, CMOS_BOOT_3, (uint8_t)(b[2] << 4));
}

/* --- the configuration device --- */

static void set_numbers(struct pc *pc, struct dev *cfg)
{
    const struct env *env = pc->env;

    fw_cfg_set_bytes(cfg, FW_CFG_UUID, pc->config.uuid, 16);
    fw_cfg_set_number(cfg, FW_CFG_RAM_SIZE, env->ram_low + env->ram_high, 8);
    fw_cfg_set_number(cfg, FW_CFG_NOGRAPHIC, !pc->config.screen, 2);
    fw_cfg_set_number(cfg, FW_CFG_NB_CPUS, env->ncpus, 2);
    fw_cfg_set_number(cfg, FW_CFG_MAX_CPUS, env->ncpus, 2);
    fw_cfg_set_number(cfg, FW_CFG_BOOT_MENU, 0, 2);
    fw_cfg_set_number(cfg, FW_CFG_IRQ0_OVERRIDE, 1, 4);
}

/* Linux boot protocol: the set-up code is sectors 0 to setup_sects. UEFI
   firmware starts a kernel from these; a BIOS ignores them. */
static void set_kernel(struct pc *pc, struct dev *cfg)
{
    enum { SETUP_SECTS = 0x1f1, SETUP_SECTS_OLD = 4, SECTOR = 512 };
    const struct boot_bytes *k = &pc->config.kernel, *i = &pc->config.initrd;
    const char *line = pc->config.cmdline ? pc->config.cmdline : "";
    size_t setup;

    if (!k->p || k->n <= SETUP_SECTS)
        return;
    setup = k->p[SETUP_SECTS] ? k->p[SETUP_SECTS] : SETUP_SECTS_OLD;
    setup = MIN((setup + 1) * SECTOR, k->n);
    fw_cfg_set_number(cfg, FW_CFG_SETUP_SIZE, setup, 4);
    fw_cfg_set_bytes(cfg, FW_CFG_SETUP_DATA, k->p, setup);
    fw_cfg_set_number(cfg, FW_CFG_KERNEL_SIZE, k->n - setup, 4);
    fw_cfg_set_bytes(cfg, FW_CFG_KERNEL_DATA, k->p + setup, k->n - setup);
    fw_cfg_set_number(cfg, FW_CFG_CMDLINE_SIZE, strlen(line) + 1, 4);
    fw_cfg_set_bytes(cfg, FW_CFG_CMDLINE_DATA, line, strlen(line) + 1);
    fw_cfg_set_number(cfg, FW_CFG_INITRD_SIZE, i->n, 4);
    if (i->p)
        fw_cfg_set_bytes(cfg, FW_CFG_INITRD_DATA, i->p, i->n);
}

static int add_net_roms(struct pc *pc)
{
    int r = 0;

    for (unsigned i = 0; !r && i < pc->config.nnet_roms; i++) {
        const struct boot_bytes *rom = &pc->config.net_rom[i];
        char path[32];

        snprintf(path, sizeof path, "/rom@genroms/net%u.rom", i);
        pc_boot_path(pc, PC_BOOT_NET, path);
        r = fw_cfg_add_file(pc->firmware->cfg, path + strlen("/rom@"), rom->p,
                            rom->n, NULL, NULL);
    }
    return r;
}

static int add_files(struct pc *pc, struct err *e)
{
    struct firmware *fw = pc->firmware;
    int r = pc->config.no_acpi ? 0 : add_acpi(pc, e);

    if (!r)
        r = add_smbios(pc, e);
    if (!r)
        r = fw_cfg_add_file(
            fw->cfg, "etc/e820", fw->map,
            fw_memory_map(pc->env->ram_low, pc->env->ram_high, fw->map), NULL,
            NULL);
    /* With nothing to boot a BIOS says so and stays there. */
    store_le32(fw->no_retry, UINT32_MAX);
    if (!r)
        r = fw_cfg_add_file(fw->cfg, "etc/boot-fail-wait", fw->no_retry, 4,
                            NULL, NULL);
    if (!r)
        r = add_net_roms(pc);
    return r ? r : add_order(pc);
}

/* Right below the ROM. */
static int add_flash(struct pc *pc, struct err *e)
{
    const struct boot_bytes *vars = &pc->config.vars;
    struct rom_bytes contents = {vars->p, vars->n};

    if (!vars->p)
        return 0;
    return pc_add(pc, "pflash", "firmware-settings",
                  PROP_VALUES(SET_NUMBER(
                      "base", PC_HIGH_RAM_BASE - pc->firmware->size - vars->n)
                                  SET_BYTES("contents", contents)
                                      SET_BLK("disk", pc->config.vars_disk)),
                  e)
               ? 0
               : e->code;
}

int firmware_add(struct pc *pc, struct err *e)
{
    struct firmware *fw = pc->firmware;
    int r;

    if (!fw)
        return 0;
    r = add_flash(pc, e);
    if (r)
        return r;
    if (!pc_add(pc, "debugcon", "debugcon", NULL, e))
        return e->code;
    fw->cfg = pc_add(pc, "fw-cfg", "fw-cfg", NULL, e);
    if (!fw->cfg)
        return e->code;
    set_numbers(pc, fw->cfg);
    set_kernel(pc, fw->cfg);
    set_cmos(pc);
    host_mutex_lock(vm_lock(pc->vm));
    r = add_files(pc, e);
    host_mutex_unlock(vm_lock(pc->vm));
    return r;
}
