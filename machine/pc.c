#include "base/bits.h"
#include "base/libc.h"
#include "hw/bus/piix4_pm.h"
#include "hw/intc/lapic.h"
#include "machine/pc_firmware.h"
#include "machine/pc_internal.h"
#include "x86/tsc.h"

enum { XAPIC_IDS = 15 }; /* an IOAPIC's ID of four bits that no CPU has */

/* --- time --- */

/* A CPU's TSC against the machine's clock; on its own thread or with it
   stopped. */
static uint64_t tsc_to_time(void *ctx, unsigned cpu, uint64_t tsc)
{
    struct pc *pc = ctx;

    if (vm_get_state(pc->vm, cpu, &pc->scratch, STATE_MSRS))
        return UINT64_MAX;
    return tsc_reaches(vm_config(pc->vm)->model, pc->scratch.tsc_offset, tsc);
}

/* --- memory --- */

static int map_ram(struct pc *pc, struct region *r, const char *name,
                   gpa_t base, uint64_t size, uint64_t off, struct err *e)
{
    if (!size)
        return 0;
    *r = (struct region){.name = name,
                         .size = size,
                         .ram = pc->env->ram + off,
                         .readonly = r == &pc->rom};
    if (!space_map(pc->env->mem, base, r, 0))
        return 0;
    return err_set(e, LE_NOMEM, "no memory left to map the guest's");
}

/*
 * Where adapters would have their ROMs systems look for them, byte by byte:
 * reading all ones there had better be quick. Whatever is mapped wins.
 */
static int map_nothing(struct pc *pc, struct err *e)
{
    enum { ROMS = 0xc0000, SIZE = PC_BIOS_DATA - ROMS, PRIORITY = -100 };

    pc->ones = host_alloc(SIZE + PAGE_SIZE);
    if (!pc->ones)
        return err_set(e, LE_NOMEM, "no memory left to map the guest's");
    pc->nothing = (struct region){
        .name = "nothing",
        .size = SIZE,
        .ram = (uint8_t *)align_up((uintptr_t)pc->ones, PAGE_SIZE),
        .readonly = true};
    memset(pc->nothing.ram, 0xff, SIZE);
    if (!space_map(pc->env->mem, ROMS, &pc->nothing, PRIORITY))
        return 0;
    return err_set(e, LE_NOMEM, "no memory left to map the guest's");
}

static int map_memory(struct pc *pc, struct err *e)
{
    struct env *env = pc->env;
    int r;

    env->ram_low = pc_low_ram(vm_ram_size(pc->vm));
    env->ram_high = pc_high_ram(vm_ram_size(pc->vm));
    e820_pc(&pc->map, vm_ram_size(pc->vm));
    r = map_nothing(pc, e);
    if (!r)
        r = map_ram(pc, &pc->low, "ram", 0, PC_VGA, 0, e);
    if (!r)
        r = map_ram(pc, &pc->high, "ram", PC_MEGABYTE,
                    env->ram_low - PC_MEGABYTE, PC_MEGABYTE, e);
    if (!r)
        r = map_ram(pc, &pc->above, "ram", PC_HIGH_RAM_BASE, env->ram_high,
                    env->ram_low, e);
    if (r || pc->config.firmware.p)
        return r ? r : firmware_map(pc, e);
    return map_ram(pc, &pc->rom, "rom", PC_HIGH_RAM_BASE - 0x10000, 0x10000,
                   PC_BIOS_ROM, e);
}

static void unmap_memory(struct pc *pc)
{
    struct region *all[] = {&pc->low, &pc->high, &pc->above, &pc->rom,
                            &pc->nothing};

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (all[i]->space)
            space_unmap(all[i]);
    firmware_unmap(pc);
}

/* --- boot --- */

static void init_apics(struct pc *pc)
{
    for (unsigned i = 0; i < pc->env->ncpus; i++) {
        struct dev *d;
        char id[16];

        snprintf(id, sizeof id, "apic%u", i);
        d = vm_find_device(pc->vm, id);
        if (d)
            lapic_virtual_wire(d);
    }
}

void pc_describe_config(struct pc *pc, struct bios_config *c)
{
    for (unsigned i = 0; i < PC_SERIALS; i++)
        if (pc->config.serial[i])
            c->acpi.serials |= (uint8_t)BIT(i);
    c->acpi.i8042 = vm_find_device(pc->vm, "kbd") != NULL;
    c->acpi.vga = pc->config.screen;
    memcpy(c->smbios.uuid, pc->config.uuid, sizeof c->smbios.uuid);
}

/* The tables, and the vectors and data of a BIOS. */
static int put_tables(struct pc *pc, gpa_t *rsdp, struct err *e)
{
    struct bios_config c = {.map = &pc->map, .no_acpi = pc->config.no_acpi};
    struct env *env = pc->env;
    int r;

    pc_describe(env, vm_config(pc->vm)->model, pc->ioapic_id, &c);
    pc_describe_config(pc, &c);
    r = bios_fill(&c, env->ram, rsdp, e);
    space_wrote(env->mem, 0, PC_VGA);
    space_wrote(env->mem, PC_BIOS_DATA, PC_MEGABYTE - PC_BIOS_DATA);
    return r;
}

static int load_kernel(struct pc *pc, gpa_t rsdp, struct x86_state *bsp,
                       struct err *e)
{
    const struct x86_features *f = &vm_config(pc->vm)->model->features;
    struct boot_ram ram = space_boot_ram(pc->env->mem);
    uint8_t seed[BOOT_SEED_SIZE];
    struct boot_request q = {
        .kernel = pc->config.kernel,
        .initrd = pc->config.initrd,
        .cmdline = pc->config.cmdline,
        .entry = pc->config.entry,
        .self_unpack = pc->config.self_unpack,
        .map = &pc->map,
        .rsdp = rsdp,
        .long_mode = feature_has(f, FEAT_LM),
        .seed = seed,
    };
    struct boot_image image;
    int r;

    host_random(seed, sizeof seed);
    r = boot_load(&q, &ram, &image, e);
    if (r)
        return r;
    pc->method = image.how;
    if (boot_state(&image, bsp))
        return err_set(e, LE_UNSUPPORTED, "%s: no way in", q.kernel.name);
    return 0;
}

static int pc_boot(void *machine, struct vm *vm, struct x86_state *bsp,
                   struct err *e)
{
    struct pc *pc = machine;
    gpa_t rsdp;
    int r;

    (void)vm;
    pc->method = "firmware";
    if (pc->firmware) /* the CPU's power-on state leads into it */
        return 0;
    r = pc_init_chips(pc->env, pc->ioapic_id, e);
    if (r)
        return r;
    init_apics(pc);
    r = put_tables(pc, &rsdp, e);
    return r ? r : load_kernel(pc, rsdp, bsp, e);
}

static void pc_cpu_state(void *machine, unsigned cpu, struct x86_state *s)
{
    const struct pc *pc = machine;

    (void)cpu;
    if (pc->firmware)
        return;
    pc_init_mtrrs(vm_config(pc->vm)->model, s);
}

static void pc_destroy(void *machine, struct vm *vm)
{
    struct pc *pc = machine;

    (void)vm;
    pc->env->tsc = (struct tsc_clock){0};
    unmap_memory(pc);
    host_free(pc->ones);
    host_free(pc);
}

static const struct machine_ops pc_ops = {
    .boot = pc_boot,
    .cpu_state = pc_cpu_state,
    .destroy = pc_destroy,
};

/* --- life --- */

static int check_config(const struct vm *vm, const struct pc_config *c,
                        uint64_t ram, struct err *e)
{
    (void)vm;
    if (ram < PC_RAM_MIN)
        return err_set(e, LE_USAGE,
                       "a PC has at least 1 MB of memory; raise --memory");
    if (!c->kernel.p && !c->firmware.p)
        return err_set(e, LE_USAGE,
                       "nothing to boot; give --kernel FILE or --firmware");
    if (c->ndisks > PC_DISKS)
        return err_set(e, LE_USAGE, "a PC takes up to %d disks", PC_DISKS);
    return 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    while (n && !*p) {
        p++;
        n--;
    }
    return !n;
}

/* RFC 4122, version 4, in the byte order of SMBIOS 2.6 and later. */
static void random_uuid(uint8_t uuid[16])
{
    host_random(uuid, 16);
    uuid[7] = (uint8_t)(0x40 | (uuid[7] & 0x0f));
    uuid[8] = (uint8_t)(0x80 | (uuid[8] & 0x3f));
}

int pc_create(struct vm *vm, const struct pc_config *config, struct pc **out,
              struct err *e)
{
    struct pc *pc;
    int r = check_config(vm, config, vm_ram_size(vm), e);

    if (r)
        return r;
    pc = host_alloc(sizeof *pc);
    if (!pc)
        return err_set(e, LE_NOMEM, "the host has no memory left for a VM");
    pc->vm = vm;
    pc->env = vm_env(vm);
    pc->config = *config;
    pc->next_slot = PC_FIRST_SLOT;
    pc->ioapic_id = pc->env->ncpus < XAPIC_IDS ? pc->env->ncpus : 0;
    if (is_zero(pc->config.uuid, sizeof pc->config.uuid))
        random_uuid(pc->config.uuid);
    /* From here on pc goes with the VM. */
    vm_set_machine(vm, &pc_ops, pc);
    pc->env->tsc = (struct tsc_clock){tsc_to_time, pc};
    host_mutex_lock(vm_lock(vm));
    r = map_memory(pc, e);
    host_mutex_unlock(vm_lock(vm));
    if (!r)
        r = pc_add_devices(pc, e);
    *out = pc;
    return r;
}

const char *pc_boot_method(const struct pc *pc)
{
    return pc->method ? pc->method : "not started";
}

bool pc_power_button(struct pc *pc)
{
    bool heard;

    host_mutex_lock(vm_lock(pc->vm));
    heard = pc->pm && piix4_pm_power_button(pc->pm);
    host_mutex_unlock(vm_lock(pc->vm));
    return heard;
}
