/*
 * The kvm engine against this host's /dev/kvm, whatever its kind: registers in
 * and out, code in real mode, memory that is read-only, dirty pages. Without a
 * /dev/kvm that may be opened there is nothing to test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "engine/kvm/kvm.h"
#include "hw/registry.h"
#include "lodge/chips.h"
#include "vm/vm.h"
#include "x86/cpu.h"

enum { RAM = 1 << 20, CODE = 0x1000, ROM_AT = 0x80000 };

struct fixture {
    struct cpu_model model;
    struct vm *vm;
    struct region ram, rom;
    uint64_t rom_written;
    const uint8_t *code;
    size_t ncode;
};

static bool here(void)
{
    struct engine_caps caps;

    return engine_kvm.probe(&caps) == 0;
}

static int boot(void *machine, struct vm *vm, struct x86_state *bsp,
                struct err *e UNUSED)
{
    struct fixture *t = machine;

    if (t->code)
        memcpy(vm_ram(vm) + CODE, t->code, t->ncode);
    bsp->seg[CS].sel = 0;
    bsp->seg[CS].base = 0;
    bsp->rip = CODE;
    return 0;
}

static void rom_write(void *dev, uint64_t off, uint64_t v, unsigned n UNUSED)
{
    ((struct fixture *)dev)->rom_written = off << 32 | v;
}

static const struct region_ops rom_ops = {NULL, rom_write, 1, 4};
static const struct machine_ops machine = {.boot = boot};

static int make(void **state, bool chips)
{
    struct fixture *t = calloc(1, sizeof *t);
    struct vm_config c = {.engine = &engine_kvm,
                          .model = &t->model,
                          .ncpus = 1,
                          .ram_size = RAM + PAGE_SIZE,
                          .tuning.chips = chips};
    struct cpu_host host;
    struct err e;

    *state = t;
    if (!here())
        return 0;
    if (engine_kvm.host_cpu(&host, &e) ||
        cpu_model_make_for(&t->model, "host", &host, 1, &e) ||
        vm_create(&c, &t->vm, &e))
        fail_msg("%s", e.text);
    vm_set_machine(t->vm, &machine, t);
    t->ram = (struct region){"ram", RAM, NULL, NULL, vm_ram(t->vm)};
    t->rom = (struct region){"rom", PAGE_SIZE,           &rom_ops,
                             t,     vm_ram(t->vm) + RAM, true};
    space_map(vm_env(t->vm)->mem, 0, &t->ram, 0);
    space_map(vm_env(t->vm)->mem, ROM_AT, &t->rom, 1);
    if (!vm_add_device(t->vm, dev_class_find("debug-exit"), "exit", NULL, &e))
        fail_msg("%s", e.text);
    return 0;
}

static int setup(void **state)
{
    return make(state, false);
}

/* Newer kernels can be built without. */
static int setup_chips(void **state)
{
    struct kvm_host h;
    struct err e;
    bool has = false;

    if (!kvm_host_open(&h, &e)) {
        has = h.chips;
        kvm_host_close(&h);
    }
    if (has)
        return make(state, true);
    *state = calloc(1, sizeof(struct fixture));
    return 0;
}

static int teardown(void **state)
{
    struct fixture *t = *state;

    if (t->vm) {
        vm_dismantle(t->vm);
        space_unmap(&t->ram);
        space_unmap(&t->rom);
        vm_destroy(t->vm);
    }
    free(t);
    return 0;
}

/* Runs code in real mode until it writes to port 0xf4; what it wrote. */
static uint32_t run(struct fixture *t, const uint8_t *code, size_t n)
{
    struct vm_outcome o;
    struct err e;

    t->code = code;
    t->ncode = n;
    if (vm_start(t->vm, &e))
        fail_msg("%s", e.text);
    vm_wait(t->vm, 20 * NS_PER_SEC, &o);
    if (o.end != VM_END_DEBUG_EXIT)
        fail_msg("ended as %d: %s", o.end, o.text);
    return o.value;
}

#define NEEDS_KVM(t)                                                           \
    if (!(t)->vm)                                                              \
    skip()

static void registers(void **state)
{
    struct fixture *t = *state;
    static struct x86_state in, out;

    NEEDS_KVM(t);
    x86_state_reset(&in, &t->model, true, false);
    for (unsigned n = 0; n < 16; n++)
        in.gpr[n] = 0x1111111111111111ull * n + 7;
    in.rip = 0x1234;
    in.rflags = FLAG_1 | FLAG_CF | FLAG_OF | FLAG_ID;
    for (unsigned n = ES; n <= GS; n++) {
        in.seg[n].sel = (uint16_t)(0x100 * n);
        in.seg[n].base = 0x1000 * n;
    }
    in.gdt = (struct x86_table){0x5000, 0x7f};
    in.idt = (struct x86_table){0x6000, 0x3ff};
    in.cr2 = 0xdeadbeef;
    in.dr[0] = 0x12345678;
    in.dr[3] = 0x87654321;
    in.sysenter_cs = 8;
    in.sysenter_eip = 0x1000;
    in.lstar = 0xffffffff81000000ull;
    in.star = 0x23001000000000ull;
    in.pat = 0x0606060606060606ull;
    in.mtrr_def_type = 0xc06;
    in.mtrr_base[1] = 0xc0000000;
    in.mtrr_mask[1] = 0xff80000800ull;
    in.tsc_offset = 123456789;
    in.nmi_blocked = true;
    in.movss_shadow = true;
    in.activity = CPU_HALTED;
    assert_int_equal(vm_set_state(t->vm, 0, &in, STATE_ALL), 0);
    assert_int_equal(vm_get_state(t->vm, 0, &out, STATE_ALL), 0);
    assert_memory_equal(out.gpr, in.gpr, sizeof in.gpr);
    assert_int_equal(out.rip, in.rip);
    assert_int_equal(out.rflags, in.rflags);
    for (unsigned n = ES; n <= GS; n++) {
        assert_int_equal(out.seg[n].sel, in.seg[n].sel);
        assert_int_equal(out.seg[n].base, in.seg[n].base);
        assert_int_equal(out.seg[n].limit, in.seg[n].limit);
        assert_int_equal(out.seg[n].attr, in.seg[n].attr);
    }
    assert_memory_equal(&out.gdt, &in.gdt, sizeof in.gdt);
    assert_int_equal(out.cr0, in.cr0);
    assert_int_equal(out.cr2, in.cr2);
    assert_int_equal(out.dr[0], in.dr[0]);
    assert_int_equal(out.dr[3], in.dr[3]);
    assert_int_equal(out.sysenter_eip, in.sysenter_eip);
    assert_int_equal(out.lstar, in.lstar);
    assert_int_equal(out.star, in.star);
    assert_int_equal(out.pat, in.pat);
    assert_int_equal(out.mtrr_def_type, in.mtrr_def_type);
    assert_int_equal(out.mtrr_base[1], in.mtrr_base[1]);
    assert_int_equal(out.mtrr_mask[1], in.mtrr_mask[1]);
    assert_true(out.nmi_blocked && out.movss_shadow);
    assert_int_equal(out.activity, CPU_HALTED);
}

static void vectors(void **state)
{
    struct fixture *t = *state;
    static struct x86_state in, out;
    unsigned width = 16;

    NEEDS_KVM(t);
    if (t->model.xcr0_mask & XCR0_AVX)
        width = 32;
    if (t->model.xcr0_mask & XCR0_ZMM_HI256)
        width = 64;
    x86_state_reset(&in, &t->model, true, false);
    for (unsigned n = 0; n < (width == 64 ? 32 : 16); n++)
        for (unsigned k = 0; k < width; k++)
            in.zmm[n][k] = (uint8_t)(n * 7 + k * 3 + 1);
    for (unsigned k = 0; width == 64 && k < 8; k++)
        in.k[k] = 0x0101010101010101ull * k;
    for (unsigned k = 32; k < 32 + 10; k++)
        in.fxsave[k] = (uint8_t)k; /* ST0 */
    in.mxcsr = 0x1fa0;
    assert_int_equal(vm_set_state(t->vm, 0, &in, STATE_ALL), 0);
    assert_int_equal(vm_get_state(t->vm, 0, &out, STATE_FPU), 0);
    assert_memory_equal(out.zmm, in.zmm, sizeof in.zmm);
    assert_memory_equal(out.k, in.k, sizeof in.k);
    assert_memory_equal(out.fxsave + 32, in.fxsave + 32, 10);
    assert_int_equal(out.mxcsr, in.mxcsr);
}

static void apic(void **state)
{
    struct fixture *t = *state;
    struct vcpu *v;
    struct apic_regs r, out;

    NEEDS_KVM(t);
    v = vm_vcpu(t->vm, 0);
    assert_int_equal(engine_kvm.irqchip->get(v, &r), 0);
    r.apic_base = 0xfee00900;
    r.reg[0x0f] = 0x1ff;   /* SVR */
    r.reg[0x08] = 0x20;    /* TPR */
    r.reg[0x35] = 0x700;   /* LINT0: ExtINT */
    r.reg[0x21] = 0x10;    /* IRR: vector 0x24 */
    r.reg[0x32] = 0x10030; /* timer, masked */
    assert_int_equal(engine_kvm.irqchip->set(v, &r), 0);
    assert_int_equal(engine_kvm.irqchip->get(v, &out), 0);
    assert_int_equal(out.apic_base, r.apic_base);
    for (unsigned n = 0; n < 6; n++) {
        static const uint8_t same[] = {0x0f, 0x08, 0x35, 0x21, 0x32, 0x02};

        assert_int_equal(out.reg[same[n]], r.reg[same[n]]);
    }
}

static bool requested(struct vcpu *v, unsigned vector)
{
    struct apic_regs r;

    assert_int_equal(engine_kvm.irqchip->get(v, &r), 0);
    return r.reg[0x20 + vector / 32] >> vector % 32 & 1;
}

/* Messages by routes arrive, as many as there can be, each where it is aimed;
   the APIC's registers have what was sent before they are asked for. */
static void message_routes(void **state)
{
    enum { MOST = 1024, FEE = 0xfee00000 };
    static struct msi_route *route[MOST];
    const struct msi_routes *by = engine_kvm.irqchip->routes;
    struct fixture *t = *state;
    struct apic_regs r;
    struct vcpu *v;
    unsigned count = 0;

    NEEDS_KVM(t);
    v = vm_vcpu(t->vm, 0);
    assert_int_equal(engine_kvm.irqchip->get(v, &r), 0);
    r.reg[0x0f] = 0x1ff;
    assert_int_equal(engine_kvm.irqchip->set(v, &r), 0);
    assert_null(by->open(t->vm, FEE, 0xc051)); /* level-triggered */
    while (count < MOST &&
           (route[count] = by->open(t->vm, FEE, 0x40 + count % 64)))
        count++;
    if (!count)
        skip(); /* a KVM without irqfds */
    assert_in_range(count, 16, MOST - 1);
    by->signal(route[3]);
    assert_true(requested(v, 0x43));
    assert_false(requested(v, 0x44));
    assert_false(by->aim(route[4], FEE, 0xc091));
    assert_true(by->aim(route[4], FEE, 0x91));
    by->signal(route[4]);
    assert_true(requested(v, 0x91));
    assert_false(requested(v, 0x44));
    by->close(route[5]);
    route[5] = by->open(t->vm, FEE, 0x92);
    assert_non_null(route[5]);
    by->signal(route[5]);
    by->signal(route[5]);
    engine_kvm.irqchip->message(t->vm, FEE, 0x93);
    assert_true(requested(v, 0x92) && requested(v, 0x93));
    assert_false(requested(v, 0x45));
    for (unsigned n = 0; n < count; n++)
        by->close(route[n]);
    assert_true(requested(v, 0x91));
}

static void runs(void **state)
{
    static const uint8_t code[] = {
        0xb8, 0x05, 0x00, /* mov ax, 5 */
        0x83, 0xc0, 0x02, /* add ax, 2 */
        0xe7, 0xf4,       /* out 0xf4, ax */
        0xf4,             /* hlt */
    };

    NEEDS_KVM((struct fixture *)*state);
    assert_int_equal(run(*state, code, sizeof code), 7);
}

/* Reads are the guest's own, a write comes to the device. */
static void read_only(void **state)
{
    static const uint8_t code[] = {
        0xb8, 0x00, 0x80, 0x8e, 0xd8, /* mov ax, 0x8000; mov ds, ax */
        0xc6, 0x06, 0x04, 0x00, 0xab, /* mov byte [4], 0xab */
        0xa1, 0x00, 0x00,             /* mov ax, [0] */
        0xe7, 0xf4, 0xf4,             /* out 0xf4, ax; hlt */
    };
    struct fixture *t = *state;

    NEEDS_KVM(t);
    memcpy(vm_ram(t->vm) + RAM, "\x34\x12\x00\x00\x11", 5);
    assert_int_equal(run(t, code, sizeof code), 0x1234);
    assert_int_equal(t->rom_written, 4ull << 32 | 0xab);
    assert_int_equal(vm_ram(t->vm)[RAM + 4], 0x11);
}

static void dirty(void **state)
{
    static const uint8_t code[] = {
        0xc6, 0x06, 0x00, 0x30, 0x01, /* mov byte [0x3000], 1 */
        0xc6, 0x06, 0xff, 0x5f, 0x02, /* mov byte [0x5fff], 2 */
        0xb8, 0x01, 0x00, 0xe7, 0xf4, /* mov ax, 1; out 0xf4, ax */
        0xf4,
    };
    struct fixture *t = *state;
    uint64_t bits[RAM / PAGE_SIZE / 64];
    struct window w;

    NEEDS_KVM(t);
    assert_true(space_window(vm_env(t->vm)->mem, 0, &w));
    assert_int_equal(engine_kvm.dirty(t->vm, &w, bits), 0);
    assert_int_equal(bits[0], ~0ull); /* nobody knows of before */
    assert_int_equal(engine_kvm.dirty(t->vm, &w, bits), 0);
    assert_int_equal(bits[0], 0);
    assert_int_equal(run(t, code, sizeof code), 1);
    space_store(vm_env(t->vm)->mem, 0x8ffe, "dma", 4); /* a device's */
    assert_int_equal(engine_kvm.dirty(t->vm, &w, bits), 0);
    assert_int_equal(bits[0], 1 << 3 | 1 << 5 | 1 << 8 | 1 << 9);
    assert_int_equal(engine_kvm.dirty(t->vm, &w, bits), 0);
    assert_int_equal(bits[0], 0);
}

static void chip_set(struct vm *vm, enum engine_chip which,
                     const struct chip_regs *r)
{
    assert_int_equal(engine_kvm.irqchip->chips->set(vm, which, r), 0);
}

static struct chip_regs chip_get(struct vm *vm, enum engine_chip which)
{
    struct chip_regs r;

    assert_int_equal(engine_kvm.irqchip->chips->get(vm, which, &r), 0);
    return r;
}

static void pics_in_and_out(void **state)
{
    struct fixture *t = *state;
    struct chip_regs in = {.pic = {{.irr = 0x28,
                                    .lines = 0x28,
                                    .imr = 0xd6,
                                    .isr = 0x10,
                                    .elcr = 0x20,
                                    .vector = 0x28,
                                    .lowest = 3,
                                    .icw4_due = true,
                                    .auto_eoi = true,
                                    .fully_nested = true},
                                   {.imr = 0xff,
                                    .vector = 0x70,
                                    .lowest = 7,
                                    .init = 2,
                                    .rotate_auto_eoi = true,
                                    .special_mask = true,
                                    .read_isr = true,
                                    .poll = true}}};
    struct chip_regs out;

    NEEDS_KVM(t);
    chip_set(t->vm, CHIP_PICS, &in);
    out = chip_get(t->vm, CHIP_PICS);
    assert_memory_equal(out.pic, in.pic, sizeof in.pic);
    engine_kvm.irqchip->chips->line(t->vm, CHIP_PICS, 7, true);
    engine_kvm.irqchip->chips->line(t->vm, CHIP_PICS, 5, false);
    out = chip_get(t->vm, CHIP_PICS);
    assert_int_equal(out.pic[0].irr, 0x88);
    assert_int_equal(out.pic[0].lines, 0x88);
}

/* A vector on its way to the CPU is a request again. */
static void pics_take_back(void **state)
{
    struct fixture *t = *state;
    struct chip_regs in = {
        .pic = {{.vector = 0x28, .isr = 0x04}, {.vector = 0x70, .isr = 0x12}}};
    struct chip_regs out;
    struct kvm_vcpu_events ev = {.interrupt = {.injected = 1, .nr = 0x74}};

    NEEDS_KVM(t);
    chip_set(t->vm, CHIP_PICS, &in);
    kvm_do(kvm_cpu_of(vm_vcpu(t->vm, 0))->fd, KVM_SET_VCPU_EVENTS, &ev);
    out = chip_get(t->vm, CHIP_PICS);
    assert_int_equal(out.pic[1].isr, 0x02);
    assert_int_equal(out.pic[1].irr, 0x10);
    assert_int_equal(out.pic[0].isr, 0);
    ev.interrupt.nr = 0x2b; /* the local APIC's: theirs is not in service */
    kvm_do(kvm_cpu_of(vm_vcpu(t->vm, 0))->fd, KVM_SET_VCPU_EVENTS, &ev);
    out = chip_get(t->vm, CHIP_PICS);
    assert_int_equal(out.pic[1].isr, 0x12);
    assert_int_equal(out.pic[0].isr, 0x04);
    assert_int_equal(out.pic[0].irr, 0);
}

static void ioapic_in_and_out(void **state)
{
    struct fixture *t = *state;
    struct chip_regs in = {.ioapic = {.id = 9, .regsel = 0x12}}, out;
    struct apic_regs r;
    struct vcpu *v;

    NEEDS_KVM(t);
    v = vm_vcpu(t->vm, 0);
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        in.ioapic.redtbl[n] = (uint64_t)n << 56 | 1 << 16 | (0x30 + n);
    in.ioapic.redtbl[17] = 0xc041; /* level, an EOI is waited for */
    in.ioapic.redtbl[18] = 0x8042;
    in.ioapic.lines = 1 << 17;
    chip_set(t->vm, CHIP_IOAPIC, &in);
    out = chip_get(t->vm, CHIP_IOAPIC);
    assert_int_equal(out.ioapic.id, 9);
    assert_int_equal(out.ioapic.regsel, 0x12);
    assert_memory_equal(out.ioapic.redtbl, in.ioapic.redtbl,
                        sizeof in.ioapic.redtbl);
    assert_int_equal(engine_kvm.irqchip->get(v, &r), 0);
    r.reg[0x0f] = 0x1ff;
    assert_int_equal(engine_kvm.irqchip->set(v, &r), 0);
    engine_kvm.irqchip->chips->line(t->vm, CHIP_IOAPIC, 18, true);
    assert_true(requested(v, 0x42));
    out = chip_get(t->vm, CHIP_IOAPIC);
    assert_int_equal(out.ioapic.redtbl[18], 0xc042);
}

static void pit_in_and_out(void **state)
{
    static const struct pit_regs counter[3] = {
        {.count = 0x10000, .control = 0x34, .gate = true},
        {.count = 18,
         .control = 0x14,
         .gate = true,
         .latched = 1,
         .latch = 7,
         .status_latched = true,
         .status = 0x94},
        {.count = 0x1234,
         .control = 0x36,
         .write_high = true,
         .low_byte = 0x55,
         .latched = 1,
         .read_high = true,
         .latch = 0xabcd},
    };
    struct fixture *t = *state;
    struct chip_regs in = {.pit = {.speaker = true, .muted = true}}, out;

    NEEDS_KVM(t);
    memcpy(in.pit.counter, counter, sizeof counter);
    chip_set(t->vm, CHIP_PIT, &in);
    out = chip_get(t->vm, CHIP_PIT);
    assert_true(out.pit.muted);
    for (unsigned n = 0; n < 3; n++) {
        struct pit_regs *c = &out.pit.counter[n];

        assert_in_range(c->age_ns, 0, 100 * NS_PER_SEC);
        c->age_ns = 0;
        assert_memory_equal(c, &counter[n], sizeof *c);
    }
}

/* The kernel's 8254 ticks by the kernel's 8259s, and all that is left. */
static void ticks(void **state)
{
    static const uint8_t code[] = {
        0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x30, /* stack */
        0xc7, 0x06, 0xa0, 0x00, 0x3f, 0x10, 0xa3, 0xa2, 0x00, /* vector 28 */
        0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x28, 0xe6, 0x21,       /* ICW1, 2 */
        0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21,       /* ICW3, 4 */
        0xb0, 0xfe, 0xe6, 0x21,                               /* IRQ0 */
        0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x00, 0xe6, 0x40,       /* mode 2 */
        0xb0, 0x08, 0xe6, 0x40,                               /* 1.7 ms */
        0x31, 0xdb, 0xfb,                                     /* bx, sti */
        0xf4, 0x83, 0xfb, 0x05, 0x72, 0xfa, /* hlt until bx is 5 */
        0x93, 0xe7, 0xf4, 0xf4,             /* out 0xf4 */
        0x43, 0xb0, 0x20, 0xe6, 0x20, 0xcf, /* inc bx, EOI, iret */
    };
    struct fixture *t = *state;
    struct chip_regs r;

    NEEDS_KVM(t);
    assert_int_equal(run(t, code, sizeof code), 5);
    r = chip_get(t->vm, CHIP_PICS);
    assert_int_equal(r.pic[0].imr, 0xfe);
    assert_int_equal(r.pic[0].vector, 0x28);
    assert_int_equal(r.pic[0].isr, 0);
    r = chip_get(t->vm, CHIP_PIT);
    assert_int_equal(r.pit.counter[0].control, 0x34);
    assert_int_equal(r.pit.counter[0].count, 0x800);
}

/* A vCPU that never comes out by itself is got out, and goes on. */
static void pause_and_resume(void **state)
{
    static const uint8_t code[] = {
        0x66, 0xff, 0x06, 0x00, 0x20, /* inc dword [0x2000] */
        0xeb, 0xf9,                   /* back to it */
    };
    struct fixture *t = *state;
    volatile uint32_t *count;
    struct vm_outcome o;
    struct err e;

    NEEDS_KVM(t);
    t->code = code;
    t->ncode = sizeof code;
    count = (volatile uint32_t *)(void *)(vm_ram(t->vm) + 0x2000);
    if (vm_start(t->vm, &e))
        fail_msg("%s", e.text);
    for (unsigned n = 0; n < 20; n++) {
        uint32_t at;

        vm_pause(t->vm);
        at = *count;
        assert_int_equal(*count, at);
        vm_resume(t->vm);
        while (*count == at)
            ;
    }
    vm_stop(t->vm);
    vm_wait(t->vm, UINT64_MAX, &o);
    assert_int_equal(o.end, VM_END_STOPPED);
}

int main(void)
{
#define KVM_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define CHIPS_TEST(fn)                                                         \
    cmocka_unit_test_setup_teardown(fn, setup_chips, teardown)
    const struct CMUnitTest tests[] = {
        KVM_TEST(registers),
        KVM_TEST(vectors),
        KVM_TEST(apic),
        KVM_TEST(message_routes),
        KVM_TEST(runs),
        KVM_TEST(read_only),
        KVM_TEST(dirty),
        KVM_TEST(pause_and_resume),
        CHIPS_TEST(pics_in_and_out),
        CHIPS_TEST(pics_take_back),
        CHIPS_TEST(ioapic_in_and_out),
        CHIPS_TEST(pit_in_and_out),
        CHIPS_TEST(ticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
