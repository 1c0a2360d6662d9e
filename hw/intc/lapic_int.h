/* What the parts of the local APIC share. Machine lock held. */
#ifndef HW_INTC_LAPIC_INT_H
#define HW_INTC_LAPIC_INT_H

#include "base/bits.h"
#include "base/libc.h"
#include "hw/intc/lapic.h"

enum { LAPIC_MAX_CPUS = 255 }; /* IDs 0–254; 255 is the broadcast */

/* IA32_APIC_BASE */
enum { BASE_BSP = 1 << 8, BASE_EXTD = 1 << 10, BASE_EN = 1 << 11 };
#define BASE_DEFAULT 0xfee00000ull
#define BASE_MODE    (BASE_EXTD | BASE_EN)

enum { SVR_ENABLE = 1 << 8, SVR_NO_FOCUS = 1 << 9, SVR_EOI_SUPPRESS = 1 << 12 };
#define SVR_MASK 0x13ffu

/* In the order of their registers, 0x320–0x370. */
enum lvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERF,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT
};
enum {
    LVT_STATUS = 1 << 12,
    LVT_ACTIVE_LOW = 1 << 13,
    LVT_REMOTE_IRR = 1 << 14,
    LVT_LEVEL = 1 << 15,
    LVT_MASKED = 1 << 16,
    LVT_PERIODIC = 1 << 17,
    LVT_DEADLINE = 1 << 18,
    LVT_TIMER_MODE = LVT_PERIODIC | LVT_DEADLINE,
};

/* Register numbers: offset in the page / 16, MSR - 0x800. */
enum lapic_reg {
    R_ID = 0x02,
    R_VERSION = 0x03,
    R_TPR = 0x08,
    R_APR = 0x09,
    R_PPR = 0x0a,
    R_EOI = 0x0b,
    R_RRD = 0x0c,
    R_LDR = 0x0d,
    R_DFR = 0x0e,
    R_SVR = 0x0f,
    R_ISR = 0x10,
    R_TMR = 0x18,
    R_IRR = 0x20,
    R_ESR = 0x28,
    R_ICR = 0x30,
    R_ICR_HIGH = 0x31,
    R_LVT = 0x32,
    R_INITIAL = 0x38,
    R_CURRENT = 0x39,
    R_DCR = 0x3e,
    R_SELF_IPI = 0x3f,
    R_COUNT,
};

/* Delivery modes: bits 10:8 of LVT, ICR and MSI data. */
enum delivery {
    DM_FIXED,
    DM_LOWEST,
    DM_SMI,
    DM_RESERVED,
    DM_NMI,
    DM_INIT,
    DM_SIPI,
    DM_EXTINT
};

enum {
    ESR_REDIRECTABLE = 1 << 4,
    ESR_SEND_ILLEGAL = 1 << 5,
    ESR_RECV_ILLEGAL = 1 << 6,
    ESR_ILLEGAL_REG = 1 << 7
};

/* 256 bits, and which of their words are not zero. */
struct vector_set {
    uint32_t word[8];
    uint8_t used;
};

struct lapic {
    struct dev dev;
    struct apic_bus *bus;
    struct cpu_pins *pins;
    /* Properties */
    uint32_t cpu, phys_bits;
    bool has_x2apic, has_deadline;

    uint64_t apic_base;
    uint32_t id; /* xAPIC ID, bits 7:0 */
    uint32_t tpr, ldr, dfr, svr, esr;
    uint32_t esr_pending; /* what the next write to ESR shows */
    uint64_t icr;
    uint32_t lvt[LVT_COUNT];
    struct vector_set isr, irr;
    uint32_t tmr[8];
    bool lint[2];  /* levels of the pins */
    bool extint;   /* an ExtINT message waits for its INTA cycle */
    bool intr;     /* what the CPU's INTR shows */
    bool in_error; /* delivering an error interrupt; not state */

    /* The timer counts timer_left down from timer_start on, while running. */
    uint32_t initial_count, dcr;
    uint32_t timer_left;
    bool timer_running;
    uint64_t timer_start, tsc_deadline;
    uint64_t deadline_at; /* machine clock at which the TSC reaches it */
    struct timer timer;
};

struct apic_bus {
    unsigned size;    /* slots of cpu[] in use */
    unsigned count;   /* attached */
    bool ids_changed; /* some xAPIC ID is not its CPU's number */
    unsigned turn;    /* breaks ties of lowest-priority arbitration */
    struct lapic *cpu[LAPIC_MAX_CPUS];
};

struct apic_message {
    uint32_t dest;
    bool logical, broadcast, level;
    uint8_t mode; /* enum delivery */
    uint8_t vector;
};

static inline bool lapic_on(const struct lapic *l)
{
    return l->apic_base & BASE_EN;
}

static inline bool lapic_x2(const struct lapic *l)
{
    return l->apic_base & BASE_EXTD;
}

static inline void vector_add(struct vector_set *s, unsigned v)
{
    s->word[v / 32] |= BIT(v % 32);
    s->used |= BIT(v / 32);
}

static inline void vector_remove(struct vector_set *s, unsigned v)
{
    if (!(s->word[v / 32] &= ~BIT(v % 32)))
        s->used &= ~BIT(v / 32);
}

static inline bool vector_in(const struct vector_set *s, unsigned v)
{
    return s->word[v / 32] & BIT(v % 32);
}

/* The greatest vector, or 0 (never a valid one) when there is none. */
static inline unsigned vector_highest(const struct vector_set *s)
{
    if (!s->used)
        return 0;

    unsigned w = 31 - __builtin_clz(s->used);

    return w * 32 + 31 - __builtin_clz(s->word[w]);
}

/* --- lapic.c --- */
unsigned lapic_ppr(const struct lapic *l);
unsigned lapic_apr(const struct lapic *l);
void lapic_update(struct lapic *l);
/* Likewise, and tells the CPU even when nothing seems to have changed. */
void lapic_update_always(struct lapic *l);
/* A message for this CPU that its APIC's mode lets through. */
void lapic_accept(struct lapic *l, const struct apic_message *m);
void lapic_error(struct lapic *l, uint32_t bit);
void lapic_fire(struct lapic *l, enum lvt n);
void lapic_pin(struct lapic *l, unsigned lint, bool level);
void lapic_lint_changed(struct lapic *l, unsigned lint);
void lapic_eoi(struct lapic *l);
int lapic_ack(struct lapic *l);
/* INIT: all registers but APIC_BASE and the ID. */
void lapic_init_state(struct lapic *l);

/* --- lapic_bus.c --- */
/* What a write to the ICR asks for. */
void lapic_send(struct lapic *l, uint32_t low, uint32_t high);
int lapic_bus_join(struct lapic *l, struct err *e);
void lapic_bus_leave(struct lapic *l);

/* --- lapic_remote.c: the engine runs the APIC, and this is a copy --- */
bool lapic_remote(const struct lapic *l);
/* Takes the engine's registers, or gives it ours. */
void lapic_pull(struct lapic *l);
void lapic_push(struct lapic *l);
void lapic_remote_pin(struct lapic *l, unsigned lint, bool level);
int lapic_remote_ack(struct lapic *l);

/* --- lapic_timer.c --- */
void lapic_timer_setup(struct lapic *l);
void lapic_timer_stop(struct lapic *l);
void lapic_timer_rearm(struct lapic *l);
void lapic_timer_set_initial(struct lapic *l, uint32_t v);
void lapic_timer_set_dcr(struct lapic *l, uint32_t v);
void lapic_timer_set_lvt(struct lapic *l, uint32_t v);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);
uint32_t lapic_timer_current(const struct lapic *l);

/* --- lapic_state.c: which bits a register has, for writes and snapshots --- */
uint32_t lapic_lvt_mask(const struct lapic *l, enum lvt n);
bool lapic_base_valid(const struct lapic *l, uint64_t v);

#endif
