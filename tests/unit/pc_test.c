/*
 * The PC as a whole, with an engine that runs nothing: what the guest finds
 * at its first instruction, how interrupts are wired, reset and power-off.
 */
#include "tests/unit/pc_testlib.h"

#include "lodge/pci.h"
#include "machine/bios.h"
#include "machine/pc_firmware.h"

enum { CPUS = 3, RAM = 64 << 20 };

/* --- the engine --- */

static struct x86_state state[CPUS];
static _Atomic unsigned boots;

static int nil_open(struct vm *vm, struct err *e)
{
    (void)vm;
    (void)e;
    return 0;
}

static int nil_vcpu_open(struct vcpu *c, struct err *e)
{
    (void)c;
    (void)e;
    return 0;
}

static void nil_vcpu(struct vcpu *c)
{
    (void)c;
}

static enum stop nil_run(struct vcpu *c)
{
    return atomic_load(&c->events) & VCPU_KICK ? STOP_KICK : STOP_HALT;
}

static int nil_get(struct vcpu *c, struct x86_state *s, uint32_t groups)
{
    (void)groups;
    *s = state[c->id];
    return 0;
}

static int nil_set(struct vcpu *c, const struct x86_state *s, uint32_t groups)
{
    (void)groups;
    state[c->id] = *s;
    if (!c->id)
        boots++;
    return 0;
}

static const struct engine_ops nil_engine = {
    .name = "nil",
    .open = nil_open,
    .vcpu_open = nil_vcpu_open,
    .vcpu_close = nil_vcpu,
    .run = nil_run,
    .kick = nil_vcpu,
    .get = nil_get,
    .set = nil_set,
};

/* --- a PC --- */

static uint8_t kernel[1 << 17];

static const struct test_elf elf = {
    .entry = 0x1000000,
    .vaddr = 0x1000000,
    .paddr = 16 * MB,
    .file_size = 70000,
    .mem_size = 90000,
    .pvh = 16 * MB + 0x100,
};

static size_t discard(void *endpoint, const uint8_t *p, size_t n)
{
    (void)endpoint;
    (void)p;
    return n;
}

static struct pc_config config(struct machine *m)
{
    m->serial.write = discard;
    return (struct pc_config){
        .kernel = {kernel, make_elf(&elf, kernel), "vmlinux"},
        .cmdline = "test",
        .serial = {&m->serial},
        .uuid = {1, 2, 3, 4},
    };
}

static void start(struct machine *m, bool no_reboot)
{
    struct pc_config c;
    struct err e;

    make_vm(m, &nil_engine, CPUS, RAM, no_reboot);
    c = config(m);
    boots = 0;
    if (pc_create(m->vm, &c, &m->pc, &e) || vm_start(m->vm, &e))
        fail_msg("%s", e.text);
}

static unsigned in(struct machine *m, unsigned port, unsigned bytes)
{
    return (unsigned)space_read(m->env->io, port, bytes);
}

static void out(struct machine *m, unsigned port, unsigned v, unsigned bytes)
{
    space_write(m->env->io, port, v, bytes);
}

static uint64_t mem(struct machine *m, gpa_t a, unsigned bytes)
{
    return space_read(m->env->mem, a, bytes);
}

/* --- tests --- */

static void cpus(void **ctx)
{
    struct machine m;

    (void)ctx;
    start(&m, true);
    assert_string_equal(pc_boot_method(m.pc), "ELF32, PVH entry");
    assert_int_equal(state[0].rip, elf.pvh);
    assert_int_equal(state[0].activity, CPU_RUNNING);
    assert_int_equal(mem(&m, state[0].gpr[RBX], 4), 0x336ec578);
    for (unsigned i = 0; i < CPUS; i++) {
        assert_int_equal(state[i].mtrr_def_type, 0xc06);
        assert_int_equal(state[i].mtrr_fixed[1], 0x0606060606060606);
        assert_int_equal(state[i].mtrr_fixed[2], 0);
        assert_int_equal(state[i].mtrr_base[0], 0xc0000000);
        assert_int_equal(state[i].mtrr_mask[0],
                         ((1ull << m.model.phys_bits) - 0x40000000) | 0x800);
        if (i)
            assert_int_equal(state[i].activity, CPU_WAIT_SIPI);
    }
    vm_destroy(m.vm);
}

/* What a guest looks for on 16-byte boundaries of the BIOS area. */
static gpa_t anchor(struct machine *m, const char *text)
{
    for (gpa_t a = PC_BIOS_DATA; a < PC_MEGABYTE; a += 16) {
        char found[9] = {0};

        space_load(m->env->mem, a, found, strlen(text));
        if (!strcmp(found, text))
            return a;
    }
    fail_msg("no %s", text);
    return 0;
}

static void tables(void **ctx)
{
    struct machine m;
    gpa_t a;

    (void)ctx;
    start(&m, true);
    a = anchor(&m, "RSD PTR ");
    /* The start record tells the same. */
    assert_int_equal(mem(&m, state[0].gpr[RBX] + 32, 8), a);
    anchor(&m, "_SM3_");
    a = mem(&m, anchor(&m, "_MP_") + 4, 4);
    assert_int_equal(mem(&m, a, 4), 0x504d4350); /* PCMP */
    /* The IOAPIC has the ID that MP and ACPI tables say. */
    space_write(m.env->mem, IOAPIC_BASE, 0, 4);
    assert_int_equal(mem(&m, IOAPIC_BASE + 0x10, 4) >> 24, CPUS);
    /* F0000 is ROM, E0000 is not, and FFFF0000 is F0000. */
    assert_int_equal(mem(&m, 0xffff0, 1), 0xea);
    space_write(m.env->mem, 0xffff0, 0, 1);
    assert_int_equal(mem(&m, 0xffff0, 1), 0xea);
    assert_int_equal(mem(&m, 0xfffffff0, 1), 0xea);
    space_write(m.env->mem, 0xfffffff0, 0, 1);
    assert_int_equal(mem(&m, 0xfffffff0, 1), 0xea);
    space_write(m.env->mem, 0xeff00, 0x5a, 1);
    assert_int_equal(mem(&m, 0xeff00, 1), 0x5a);
    assert_int_equal(mem(&m, 0xa0000, 4), 0xffffffff);
    assert_int_equal(mem(&m, RAM, 4), 0xffffffff);
    /* BIOS data: COM1, 639 KB. */
    assert_int_equal(mem(&m, 0x400, 2), 0x3f8);
    assert_int_equal(mem(&m, 0x402, 2), 0);
    assert_int_equal(mem(&m, 0x413, 2), 639);
    vm_destroy(m.vm);
}

static unsigned pci_read(struct machine *m, unsigned slot, unsigned fn,
                         unsigned off)
{
    out(m, 0xcf8, 0x80000000 | slot << 11 | fn << 8 | off, 4);
    return in(m, 0xcfc, 4);
}

static void chips(void **ctx)
{
    struct machine m;

    (void)ctx;
    start(&m, true);
    assert_int_equal(pci_read(&m, 0, 0, 0), 0x12378086);
    assert_int_equal(pci_read(&m, 1, 0, 0), 0x70008086);
    assert_int_equal(pci_read(&m, 1, 3, 0), 0x71138086);
    assert_int_equal(pci_read(&m, 1, 0, 0x60), 0x0b0b0a0a);
    assert_int_equal(pci_read(&m, 1, 3, 0x40), ACPI_PM_BASE | 1);
    assert_int_equal(pci_read(&m, 3, 0, 0) & 0xffff, 0x1af4);
    assert_int_equal(pci_read(&m, 3, 0, 4) & 3, 2);
    assert_true((pci_read(&m, 3, 0, 0x10) & ~15u) >= 0xc0000000);
    assert_int_equal(in(&m, 0x21, 1), 0xff);
    assert_int_equal(in(&m, 0xa1, 1), 0xff);
    assert_int_equal(in(&m, 0x4d1, 1), 1 << 1 | 1 << 2 | 1 << 3);
    /* ACPI mode is entered by the FADT's command. */
    assert_int_equal(in(&m, ACPI_PM_BASE + 4, 2) & 1, 0);
    out(&m, ACPI_SMI_PORT, ACPI_SMI_ENABLE, 1);
    assert_int_equal(in(&m, ACPI_PM_BASE + 4, 2) & 1, 1);
    out(&m, ACPI_SMI_PORT, ACPI_SMI_DISABLE, 1);
    assert_int_equal(in(&m, ACPI_PM_BASE + 4, 2) & 1, 0);
    assert_int_equal(in(&m, 0x3fb, 1), 3);
    assert_int_equal(in(&m, 0x3fd, 1), 0x60);
    assert_int_equal(in(&m, 0x92, 1) & 2, 2);
    assert_int_equal(vm_vcpu(m.vm, CPUS - 1)->a20_mask, ~0ull);
    vm_destroy(m.vm);
}

/* --- firmware --- */

enum { ROM = 256 << 10 };
static uint8_t rom[ROM];

static void start_firmware(struct machine *m, struct pc_config *c)
{
    struct err e;

    make_vm(m, &nil_engine, CPUS, RAM, true);
    for (unsigned i = 0; i < ROM; i++)
        rom[i] = (uint8_t)(i * 7 + (i >> 12));
    c->firmware = (struct boot_bytes){rom, ROM, "rom"};
    c->screen = true;
    boots = 0;
    if (pc_create(m->vm, c, &m->pc, &e) || vm_start(m->vm, &e))
        fail_msg("%s", e.text);
}

/* The bytes of a file of fw_cfg, at most n; returns its size. */
static unsigned fw_file(struct machine *m, const char *name, uint8_t *to,
                        unsigned n)
{
    unsigned files, size = 0, key = 0;

    out(m, 0x510, 0x19, 2);
    files = in(m, 0x511, 1) << 24 | in(m, 0x511, 1) << 16 |
            in(m, 0x511, 1) << 8 | in(m, 0x511, 1);
    for (unsigned i = 0; i < files; i++) {
        uint8_t entry[64];

        for (unsigned k = 0; k < 64; k++)
            entry[k] = (uint8_t)in(m, 0x511, 1);
        if (!strcmp((char *)entry + 8, name)) {
            size = load_be32(entry);
            key = load_be16(entry + 4);
        }
    }
    if (!key)
        fail_msg("no file %s", name);
    out(m, 0x510, key, 2);
    for (unsigned k = 0; k < size && k < n; k++)
        to[k] = (uint8_t)in(m, 0x511, 1);
    return size;
}

static unsigned cmos(struct machine *m, unsigned n)
{
    out(m, 0x70, n, 1);
    return in(m, 0x71, 1);
}

/* The CPU starts at its reset vector, in the ROM; nothing is set up for it. */
static void firmware(void **ctx)
{
    struct pc_config c = {.boot = {PC_BOOT_CDROM, PC_BOOT_DISK}};
    struct machine m;
    uint8_t map[40];

    (void)ctx;
    start_firmware(&m, &c);
    assert_string_equal(pc_boot_method(m.pc), "firmware");
    assert_int_equal(state[0].rip, 0xfff0);
    assert_int_equal(state[0].seg[CS].base, 0xffff0000);
    assert_int_equal(state[0].mtrr_def_type, 0);
    assert_int_equal(mem(&m, 0xfffffff0, 1), rom[ROM - 16]);
    assert_int_equal(mem(&m, 0x100000000 - ROM, 1), rom[0]);
    assert_int_equal(mem(&m, 0xe0000, 1), rom[ROM - 0x20000]);
    space_write(m.env->mem, 0xffff0, 0x55, 1); /* shadow RAM is off */
    assert_int_equal(mem(&m, 0xffff0, 1), rom[ROM - 16]);
    assert_int_equal(pci_read(&m, 1, 3, 0x40), 1);
    assert_int_equal(pci_read(&m, 1, 0, 0x60), 0x80808080);
    assert_int_equal(pci_read(&m, 2, 0, 0), 0x11111234);
    /* IDE is there without drives, and tells of none. */
    assert_int_equal(pci_read(&m, 1, 1, 0), 0x70108086);
    out(&m, 0xcf8, 0x80000904, 4);
    out(&m, 0xcfc, 1, 2);
    assert_int_equal(in(&m, 0x1f7, 1) & 0x80, 0);
    assert_int_equal(cmos(&m, 0x3d), PC_BOOT_CDROM | PC_BOOT_DISK << 4);
    assert_int_equal(in(&m, 0x402, 1), 0xe9);
    assert_int_equal(fw_file(&m, "etc/e820", map, sizeof map), 20);
    assert_int_equal(load_le64(map + 8), RAM);
    /* RAM is behind the ROM once firmware says so: PAM. */
    out(&m, 0xcf8, 0x80000058, 4);
    out(&m, 0xcfd, 0x30, 1);
    space_write(m.env->mem, 0xffff0, 0x55, 1);
    assert_int_equal(mem(&m, 0xffff0, 1), 0x55);
    vm_destroy(m.vm);
}

/* The tables tell where firmware has put things by the time it asks. */
static void firmware_tables(void **ctx)
{
    static uint8_t script[16384], tables[65536];
    struct pc_config c = {0};
    struct machine m;
    unsigned n, at;

    (void)ctx;
    start_firmware(&m, &c);
    out(&m, 0xcf8, 0x80000b40, 4); /* power management at 0xb000 */
    out(&m, 0xcfc, 0xb001, 4);
    out(&m, 0xcf8, 0x80001804, 4); /* the entropy device above 4 GB */
    out(&m, 0xcfc, 2, 2);
    out(&m, 0xcf8, 0x80001814, 4);
    out(&m, 0xcfc, 0x11, 4);
    n = fw_file(&m, "etc/table-loader", script, sizeof script);
    assert_true(n && n % 128 == 0);
    n = fw_file(&m, "etc/acpi/tables", tables, sizeof tables);
    assert_int_equal(load_le32(tables + 20), RAM); /* windows: see acpi.c */
    assert_int_equal(load_le64(tables), 0x1100000000);
    assert_int_equal(load_le64(tables + 8), 1 << 30);
    for (at = 0; at + 64 < n && memcmp(tables + at, "FACP", 4); at += 16)
        ;
    assert_memory_equal(tables + at, "FACP", 4);
    assert_int_equal(load_le32(tables + at + 56), 0xb000);
    assert_int_equal(fw_file(&m, "etc/smbios/smbios-anchor", tables, 64), 31);
    assert_memory_equal(tables, "_SM_", 4);
    vm_destroy(m.vm);
}

static void bad_firmware(void **ctx)
{
    static const size_t sizes[] = {0, 1000, 4097, (16 << 20) + 4096};
    struct pc_config c = {.firmware = {rom, 0, "the-rom"}};
    struct machine m;
    struct err e;

    (void)ctx;
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        make_vm(&m, &nil_engine, 1, RAM, true);
        c.firmware.n = sizes[i]; /* looked at before its bytes */
        assert_int_equal(pc_create(m.vm, &c, &m.pc, &e), -LE_USAGE);
        assert_non_null(strstr(e.text, "the-rom"));
        vm_destroy(m.vm);
    }
}

static uint32_t remote_irr(struct machine *m, unsigned pin)
{
    space_write(m->env->mem, IOAPIC_BASE, 0x10 + 2 * pin, 4);
    return mem(m, IOAPIC_BASE + 0x10, 4) >> 14 & 1;
}

static void unmask(struct machine *m, unsigned pin)
{
    space_write(m->env->mem, IOAPIC_BASE, 0x10 + 2 * pin, 4);
    space_write(m->env->mem, IOAPIC_BASE + 0x10, 0x8050, 4);
}

static void pirq(struct machine *m, unsigned n, bool level)
{
    host_mutex_lock(vm_lock(m->vm));
    irq_set(&m->env->pci->pirq[n], level);
    host_mutex_unlock(vm_lock(m->vm));
}

/* PIRQ A to D reach IOAPIC inputs 16 to 19 and the 8259 inputs of PIRQRC. */
static void interrupts(void **ctx)
{
    struct machine m;

    (void)ctx;
    start(&m, true);
    for (unsigned i = 0; i < 4; i++) {
        unsigned irq = i < 2 ? 10 : 11;

        unmask(&m, 16 + i);
        assert_int_equal(remote_irr(&m, 16 + i), 0);
        out(&m, 0xa0, 0x0a, 1); /* read IRR */
        assert_int_equal(in(&m, 0xa0, 1) >> (irq - 8) & 1, 0);
        pirq(&m, i, true);
        assert_int_equal(remote_irr(&m, 16 + i), 1);
        assert_int_equal(in(&m, 0xa0, 1) >> (irq - 8) & 1, 1);
        pirq(&m, i, false);
        assert_int_equal(in(&m, 0xa0, 1) >> (irq - 8) & 1, 0);
    }
    vm_destroy(m.vm);
}

/* An I/O access of the guest, as the vCPU would make it. */
static void wait_for(struct machine *m, enum vm_end end)
{
    struct vm_outcome o;

    vm_wait(m->vm, 20 * NS_PER_SEC, &o);
    assert_int_equal(o.end, end);
}

static void power_off(void **ctx)
{
    struct machine m;

    (void)ctx;
    start(&m, true);
    assert_false(pc_power_button(m.pc));
    out(&m, ACPI_SMI_PORT, ACPI_SMI_ENABLE, 1);
    out(&m, ACPI_PM_BASE + 2, 1 << 8, 2);
    assert_true(pc_power_button(m.pc));
    assert_int_equal(in(&m, ACPI_PM_BASE, 2) >> 8 & 1, 1);
    out(&m, ACPI_PM_BASE + 4, 1 << 13, 2); /* SLP_EN, type 0 as \_S5 says */
    wait_for(&m, VM_END_POWER_OFF);
    vm_destroy(m.vm);
}

static void reset(void **ctx)
{
    struct machine m;
    struct host_event nap;
    unsigned spins = 0;

    (void)ctx;
    start(&m, false);
    assert_int_equal(boots, 1);
    /* The guest leaves dirt where its kernel's zeroes were. */
    memset(m.env->ram + 16 * MB, 0xee, 90000);
    memset(m.env->ram + ACPI_BASE, 0xee, 0x1000);
    state[0].rip = 1;
    out(&m, ACPI_RESET_PORT, ACPI_RESET_VALUE, 1);
    host_event_init(&nap);
    while (boots < 2 && spins++ < 20000)
        host_event_wait(&nap, host_now() + NS_PER_SEC / 1000);
    host_event_destroy(&nap);
    assert_int_equal(boots, 2);
    vm_pause(m.vm);
    assert_int_equal(state[0].rip, elf.pvh);
    assert_memory_equal(m.env->ram + 16 * MB, kernel + TEST_ELF_DATA, 70000);
    for (unsigned i = 70000; i < 90000; i++)
        assert_int_equal(m.env->ram[16 * MB + i], 0);
    anchor(&m, "RSD PTR ");
    vm_resume(m.vm);
    vm_destroy(m.vm);

    start(&m, true);
    out(&m, ACPI_RESET_PORT, ACPI_RESET_VALUE, 1);
    wait_for(&m, VM_END_RESET);
    vm_destroy(m.vm);
}

/* CPU 0 has the 8259s at LINT0, as the MP table's virtual wire mode says. */
static void apics(void **ctx)
{
    enum { SVR = 0xf0, LINT0 = 0x350, LINT1 = 0x360 };
    struct machine m;

    (void)ctx;
    start(&m, true);
    for (unsigned i = 0; i < CPUS; i++) {
        const struct vcpu *c = vm_vcpu(m.vm, i);

        host_mutex_lock(vm_lock(m.vm));
        assert_int_equal(c->intc->read(c->intc_ctx, 0x20) >> 24, i);
        assert_int_equal(c->intc->read(c->intc_ctx, SVR) >> 8 & 1, 1);
        assert_int_equal(c->intc->read(c->intc_ctx, LINT0) & 0x10700,
                         i ? 0x10000 : 0x700);
        assert_int_equal(c->intc->read(c->intc_ctx, LINT1) & 0x10700,
                         i ? 0x10000 : 0x400);
        host_mutex_unlock(vm_lock(m.vm));
    }
    vm_destroy(m.vm);
}

static void bad_config(void **ctx)
{
    struct pc_config c;
    struct machine m;
    struct err e;

    (void)ctx;
    make_vm(&m, &nil_engine, CPUS, RAM, true);
    c = config(&m);
    c.kernel.p = NULL;
    assert_int_equal(pc_create(m.vm, &c, &m.pc, &e), -LE_USAGE);
    assert_non_null(strstr(e.text, "--kernel"));
    vm_destroy(m.vm);

    make_vm(&m, &nil_engine, CPUS, RAM, true);
    c = config(&m);
    c.kernel.n = 1000;
    assert_int_equal(pc_create(m.vm, &c, &m.pc, &e), 0);
    assert_int_equal(vm_start(m.vm, &e), -LE_FORMAT);
    assert_non_null(strstr(e.text, "vmlinux is a damaged ELF file"));
    vm_destroy(m.vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpus),         cmocka_unit_test(tables),
        cmocka_unit_test(firmware),     cmocka_unit_test(firmware_tables),
        cmocka_unit_test(bad_firmware), cmocka_unit_test(chips),
        cmocka_unit_test(interrupts),   cmocka_unit_test(power_off),
        cmocka_unit_test(reset),        cmocka_unit_test(apics),
        cmocka_unit_test(bad_config),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
