/*
 * 8259s, IOAPIC and 8254 that are the kernel's (lodge/chips.h), in place of
 * the models in hw/. docs/kvm.md says whom that serves.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "engine/kvm/kvm.h"
#include "lodge/chips.h"
#include "lodge/host.h"

int kvm_chips_open(struct kvm_vm *k, struct err *e)
{
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

    if (!k->host.chips || kvm_do_value(k->fd, KVM_CREATE_IRQCHIP, 0) < 0 ||
        kvm_do(k->fd, KVM_CREATE_PIT2, &pit) < 0)
        return err_set(e, LE_UNSUPPORTED,
                       "--engine kvm,irqchip=full: the host's KVM has no "
                       "8259s, IOAPIC and 8254; leave irqchip=full out");
    return kvm_routes_open(k, true, e);
}

static void line(void *ctx, enum engine_chip which, unsigned n, bool level)
{
    struct kvm_irq_level l = {
        .irq = n + (which == CHIP_PICS ? KVM_GSI_PICS : KVM_GSI_IOAPIC),
        .level = level,
    };

    kvm_do(kvm_vm_of(ctx)->fd, KVM_IRQ_LINE, &l);
}

/* --- 8259s --- */

static void from_pic(struct pic_regs *to, const struct kvm_pic_state *s)
{
    *to = (struct pic_regs){
        .irr = s->irr,
        .imr = s->imr,
        .isr = s->isr,
        .lines = s->last_irr,
        .elcr = s->elcr,
        .vector = s->irq_base,
        .lowest = (s->priority_add - 1) & 7,
        .init = s->init_state & 3,
        .icw4_due = s->init4,
        .auto_eoi = s->auto_eoi,
        .rotate_auto_eoi = s->rotate_on_auto_eoi,
        .fully_nested = s->special_fully_nested_mode,
        .special_mask = s->special_mask,
        .read_isr = s->read_reg_select,
        .poll = s->poll,
    };
}

static void to_pic(struct kvm_pic_state *s, const struct pic_regs *r)
{
    s->irr = r->irr;
    s->imr = r->imr;
    s->isr = r->isr;
    s->last_irr = r->lines;
    s->elcr = r->elcr;
    s->irq_base = r->vector;
    s->priority_add = (r->lowest + 1) & 7;
    s->init_state = r->init;
    s->init4 = r->icw4_due;
    s->auto_eoi = r->auto_eoi;
    s->rotate_on_auto_eoi = r->rotate_auto_eoi;
    s->special_fully_nested_mode = r->fully_nested;
    s->special_mask = r->special_mask;
    s->read_reg_select = r->read_isr;
    s->poll = r->poll;
}

static int get_chip(struct kvm_vm *k, uint32_t id, struct kvm_irqchip *s)
{
    memset(s, 0, sizeof *s);
    s->chip_id = id;
    return kvm_do(k->fd, KVM_GET_IRQCHIP, s) < 0 ? -LE_IO : 0;
}

/* A vector that KVM took from them and has not brought to the guest yet is a
   request again. (In the kernel it stays as it is: this is a copy.) */
static void give_back(struct vcpu *v, struct pic_regs *pics)
{
    struct kvm_vcpu_events ev;
    uint8_t bit;

    if (kvm_do(kvm_cpu_of(v)->fd, KVM_GET_VCPU_EVENTS, &ev) < 0 ||
        !ev.interrupt.injected || ev.interrupt.soft)
        return;
    bit = BIT(ev.interrupt.nr & 7);
    for (unsigned n = 0; n < 2; n++) {
        if ((ev.interrupt.nr & 0xf8) != pics[n].vector ||
            !((pics[n].isr & bit) || pics[n].auto_eoi))
            continue;
        pics[n].isr &= ~bit;
        pics[n].irr |= bit;
        if (n) /* the slave, at IR2 of the master */
            pics[0].isr &= ~BIT(2);
        break;
    }
}

static int get_pics(struct kvm_vm *k, struct pic_regs *to)
{
    struct kvm_irqchip s;

    for (uint32_t n = 0; n < 2; n++) {
        if (get_chip(k, KVM_IRQCHIP_PIC_MASTER + n, &s))
            return -LE_IO;
        from_pic(&to[n], &s.chip.pic);
    }
    for (unsigned n = 0; n < vm_ncpus(k->vm); n++)
        give_back(vm_vcpu(k->vm, n), to);
    return 0;
}

/* The slave first, as the master shows what it asks for. What KVM has more of
   stays. */
static int set_pics(struct kvm_vm *k, const struct pic_regs *r)
{
    struct kvm_irqchip s;

    for (uint32_t n = 2; n--;) {
        if (get_chip(k, KVM_IRQCHIP_PIC_MASTER + n, &s))
            return -LE_IO;
        to_pic(&s.chip.pic, &r[n]);
        if (kvm_do(k->fd, KVM_SET_IRQCHIP, &s) < 0)
            return -LE_IO;
    }
    return 0;
}

/* --- IOAPIC --- */

static int get_ioapic(struct kvm_vm *k, struct ioapic_regs *to)
{
    struct kvm_irqchip s;

    if (get_chip(k, KVM_IRQCHIP_IOAPIC, &s))
        return -LE_IO;
    *to = (struct ioapic_regs){.id = (uint8_t)s.chip.ioapic.id,
                               .regsel = (uint8_t)s.chip.ioapic.ioregsel};
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        to->redtbl[n] = s.chip.ioapic.redirtbl[n].bits;
    return 0;
}

static int set_ioapic(struct kvm_vm *k, const struct ioapic_regs *r)
{
    struct kvm_irqchip s;

    if (get_chip(k, KVM_IRQCHIP_IOAPIC, &s))
        return -LE_IO;
    s.chip.ioapic.id = r->id;
    s.chip.ioapic.ioregsel = r->regsel;
    s.chip.ioapic.irr = r->lines;
    for (unsigned n = 0; n < IOAPIC_PINS; n++)
        s.chip.ioapic.redirtbl[n].bits = r->redtbl[n];
    return kvm_do(k->fd, KVM_SET_IRQCHIP, &s) < 0 ? -LE_IO : 0;
}

/* --- 8254 --- */

/* KVM's names for which byte is next: RW of the control word, and for the two
   of a word. */
enum { LOW = 1, HIGH, WORD_LOW, WORD_HIGH };
enum { MODE_NONE = 0xff };

/* Of the clock that KVM loads counters by. */
static int64_t monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)NS_PER_SEC + t.tv_nsec;
}

/* KVM does not say when counter 0 was loaded; the others it takes to be loaded
   when they are set. */
static void from_counter(struct pit_regs *to,
                         const struct kvm_pit_channel_state *s, bool counter0)
{
    int64_t age = monotonic() - s->count_load_time;

    *to = (struct pit_regs){
        .count = s->count,
        .age_ns = counter0 || age < 0 ? 0 : (uint64_t)age,
        .gate = s->gate,
        .write_high = s->write_state == WORD_HIGH,
        .read_high = s->read_state == WORD_HIGH,
        .low_byte = s->write_latch,
        .latched = s->count_latched == WORD_LOW ? 2 : s->count_latched != 0,
        .latch = s->latched_count,
        .status_latched = s->status_latched,
        .status = s->status,
    };
    if (s->mode != MODE_NONE)
        to->control = (uint8_t)((s->rw_mode & 3) << 4 | (s->mode & 7) << 1 |
                                (s->bcd & 1));
    if (to->latched)
        to->read_high = s->rw_mode == WORD_LOW && to->latched == 1;
}

static void to_counter(struct kvm_pit_channel_state *s,
                       const struct pit_regs *r)
{
    uint8_t rw = r->control >> 4 & 3, mode = r->control >> 1 & 7;

    *s = (struct kvm_pit_channel_state){
        .count = r->count,
        .latched_count = r->latch,
        .status_latched = r->status_latched,
        .status = r->status,
        .read_state = r->read_high ? WORD_HIGH : rw,
        .write_state = r->write_high ? WORD_HIGH : rw,
        .write_latch = r->low_byte,
        .rw_mode = rw,
        .mode = !rw        ? MODE_NONE
                : mode > 5 ? mode - 4
                           : mode,
        .bcd = r->control & 1,
        .gate = r->gate,
    };
    if (r->latched)
        s->count_latched = rw != WORD_LOW ? rw : r->latched == 2 ? rw : HIGH;
}

static int get_pit(struct kvm_vm *k, struct chip_regs *to)
{
    struct kvm_pit_state2 s;

    if (kvm_do(k->fd, KVM_GET_PIT2, &s) < 0)
        return -LE_IO;
    for (unsigned n = 0; n < 3; n++)
        from_counter(&to->pit.counter[n], &s.channels[n], n == 0);
    to->pit.muted = s.flags & KVM_PIT_FLAGS_HPET_LEGACY;
    to->pit.speaker = s.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
    return 0;
}

static int set_pit(struct kvm_vm *k, const struct chip_regs *r)
{
    struct kvm_pit_state2 s = {0};

    for (unsigned n = 0; n < 3; n++)
        to_counter(&s.channels[n], &r->pit.counter[n]);
    s.flags = (r->pit.muted ? KVM_PIT_FLAGS_HPET_LEGACY : 0) |
              (r->pit.speaker ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0);
    return kvm_do(k->fd, KVM_SET_PIT2, &s) < 0 ? -LE_IO : 0;
}

/* --- all --- */

static int get(void *ctx, enum engine_chip which, struct chip_regs *r)
{
    struct kvm_vm *k = kvm_vm_of(ctx);

    switch (which) {
    case CHIP_PICS: return get_pics(k, r->pic);
    case CHIP_IOAPIC: return get_ioapic(k, &r->ioapic);
    case CHIP_PIT: return get_pit(k, r);
    }
    return -LE_IO;
}

static int set(void *ctx, enum engine_chip which, const struct chip_regs *r)
{
    struct kvm_vm *k = kvm_vm_of(ctx);

    switch (which) {
    case CHIP_PICS: return set_pics(k, r->pic);
    case CHIP_IOAPIC: return set_ioapic(k, &r->ioapic);
    case CHIP_PIT: return set_pit(k, r);
    }
    return -LE_IO;
}

const struct engine_chips kvm_chips = {get, set, line, NULL};
