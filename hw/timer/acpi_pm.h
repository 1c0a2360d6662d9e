/*
 * ACPI fixed hardware: PM1a event and control blocks, the PM timer and a
 * general-purpose event block, as chip sets with an ACPI power management
 * function have them. A part of another device (PIIX4 function 3), which maps
 * it, calls reset, pause, resume and loaded, and has in its state table
 *     FIELD_SUB(struct x, pm, struct acpi_pm, acpi_pm_fields)
 * Spec: ACPI 6.4, 4.8 "ACPI Register Model". Machine lock held.
 */
#ifndef HW_TIMER_ACPI_PM_H
#define HW_TIMER_ACPI_PM_H

#include "lodge/device.h"

/* PM1 status and enable */
enum {
    PM1_TMR = 1 << 0,
    PM1_BM = 1 << 4,
    PM1_GBL = 1 << 5,
    PM1_PWRBTN = 1 << 8,
    PM1_SLPBTN = 1 << 9,
    PM1_RTC = 1 << 10,
    PM1_WAK = 1 << 15
};
/* PM1 control */
enum {
    PM1_SCI_EN = 1 << 0,
    PM1_BM_RLD = 1 << 1,
    PM1_GBL_RLS = 1 << 2,
    PM1_SLP_TYP_SHIFT = 10,
    PM1_SLP_EN = 1 << 13
};

/* Where the blocks are from the base that acpi_pm_map() is given. */
enum {
    ACPI_PM_EVT = 0x0,
    ACPI_PM_CNT = 0x4,
    ACPI_PM_TMR = 0x8,
    ACPI_PM_GPE0 = 0xc,
    ACPI_PM_SIZE = 0x10
};

/* Values for the SMI command port; the FADT says the same. */
enum { ACPI_PM_ENABLE = 0xf1, ACPI_PM_DISABLE = 0xf0 };

struct acpi_pm {
    /* Filled by the owner before acpi_pm_init(). */
    struct env *env;
    const struct irq *sci; /* level */
    bool timer32;          /* the PM timer has 32 bits, not 24 */
    uint8_t s5_type;       /* SLP_TYP that means "off", 0 to 7 */

    /* The rest is its own. */
    uint16_t sts, en, cnt, gpe_sts, gpe_en;
    uint64_t half; /* half periods of the timer seen so far */
    bool level;    /* of sci */
    struct timer timer;
    struct region evt_block, cnt_block, tmr_block, gpe_block;
    struct ratelimit ratelimit;
};

extern const struct field acpi_pm_fields[];

void acpi_pm_init(struct acpi_pm *pm);
/* Maps the four blocks into env->io, or moves them; 0 or -LE_*. */
int acpi_pm_map(struct acpi_pm *pm, uint16_t base);
void acpi_pm_unmap(struct acpi_pm *pm);
void acpi_pm_reset(struct acpi_pm *pm);
void acpi_pm_pause(struct acpi_pm *pm);
void acpi_pm_resume(struct acpi_pm *pm);
int acpi_pm_loaded(struct acpi_pm *pm);

/* A write to the SMI command port. */
void acpi_pm_smi_command(struct acpi_pm *pm, uint8_t v);
/* The power button is pressed. False: the guest does not listen. */
bool acpi_pm_power_button(struct acpi_pm *pm);
/* The RTC asks for an interrupt. */
void acpi_pm_rtc(struct acpi_pm *pm);
/* Sets a general-purpose event's status, 0 to 15. */
void acpi_pm_gpe(struct acpi_pm *pm, unsigned event);

#endif
