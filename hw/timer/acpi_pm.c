#include "hw/timer/acpi_pm.h"

#include "base/bits.h"
#include "hw/timer/rate.h"

#define PM_TIMER_HZ 3579545ull

enum {
    STS_BITS = PM1_TMR | PM1_BM | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC |
               PM1_WAK,
    EN_BITS = PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC,
    CNT_BITS = PM1_SCI_EN | PM1_BM_RLD | 7 << PM1_SLP_TYP_SHIFT,
};

static uint64_t ticks(const struct acpi_pm *pm)
{
    return ns_ticks(env_now(pm->env), PM_TIMER_HZ);
}

/* The timer's top bit changes with each half of its period. */
static unsigned half_shift(const struct acpi_pm *pm)
{
    return pm->timer32 ? 31 : 23;
}

static void drive(struct acpi_pm *pm)
{
    bool level = (pm->cnt & PM1_SCI_EN) &&
                 ((pm->sts & pm->en & EN_BITS) || (pm->gpe_sts & pm->gpe_en));

    if (level != pm->level) {
        pm->level = level;
        irq_set(pm->sci, level);
    }
}

/* Works out TMR_STS, the SCI, and when to look again. */
static void update(struct acpi_pm *pm)
{
    uint64_t half = ticks(pm) >> half_shift(pm), at = UINT64_MAX;

    if (half != pm->half) {
        pm->half = half;
        pm->sts |= PM1_TMR;
    }
    drive(pm);
    if ((pm->en & PM1_TMR) && !(pm->sts & PM1_TMR))
        at = ticks_ns((half + 1) << half_shift(pm), PM_TIMER_HZ);
    env_arm(pm->env, &pm->timer, at);
}

static void timer_due(void *ctx)
{
    update(ctx);
}

static void enter_sleep(struct acpi_pm *pm, unsigned type)
{
    if (type == pm->s5_type)
        pm->env->power_off(pm->env);
    else
        log_guest(&pm->ratelimit, "acpi: sleep type %u is not offered", type);
}

static uint64_t evt_read(void *dev, uint64_t off, unsigned bytes)
{
    struct acpi_pm *pm = dev;

    update(pm);
    return ((uint32_t)pm->en << 16 | pm->sts) >> 8 * off & mask_low(8 * bytes);
}

static void evt_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct acpi_pm *pm = dev;
    uint32_t mask = (uint32_t)(mask_low(8 * bytes) << 8 * off);
    uint32_t x = (uint32_t)(v << 8 * off);

    update(pm);
    pm->sts &= ~(x & mask);
    pm->en = ((pm->en & ~(mask >> 16)) | (x & mask) >> 16) & EN_BITS;
    update(pm);
}

static uint64_t cnt_read(void *dev, uint64_t off, unsigned bytes)
{
    struct acpi_pm *pm = dev;

    return pm->cnt >> 8 * off & mask_low(8 * bytes);
}

static void cnt_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct acpi_pm *pm = dev;
    uint16_t mask = (uint16_t)(mask_low(8 * bytes) << 8 * off);
    uint16_t x = (uint16_t)(v << 8 * off) & mask;

    pm->cnt = (pm->cnt & ~mask) | (x & CNT_BITS);
    drive(pm);
    if (x & PM1_SLP_EN)
        enter_sleep(pm, pm->cnt >> PM1_SLP_TYP_SHIFT & 7);
}

static uint64_t tmr_read(void *dev, uint64_t off UNUSED, unsigned bytes UNUSED)
{
    struct acpi_pm *pm = dev;

    return ticks(pm) & (pm->timer32 ? 0xffffffff : 0xffffff);
}

static uint64_t gpe_read(void *dev, uint64_t off, unsigned bytes)
{
    struct acpi_pm *pm = dev;

    return ((uint32_t)pm->gpe_en << 16 | pm->gpe_sts) >> 8 * off &
           mask_low(8 * bytes);
}

static void gpe_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct acpi_pm *pm = dev;
    uint32_t mask = (uint32_t)(mask_low(8 * bytes) << 8 * off);
    uint32_t x = (uint32_t)(v << 8 * off);

    pm->gpe_sts &= ~(x & mask);
    pm->gpe_en = (pm->gpe_en & ~(mask >> 16)) | (x & mask) >> 16;
    drive(pm);
}

static const struct region_ops evt_ops = {evt_read, evt_write, 1, 4};
static const struct region_ops cnt_ops = {cnt_read, cnt_write, 1, 2};
static const struct region_ops tmr_ops = {tmr_read, NULL, 4, 4};
static const struct region_ops gpe_ops = {gpe_read, gpe_write, 1, 4};

void acpi_pm_init(struct acpi_pm *pm)
{
    timer_init(&pm->timer, pm->env->loop, timer_due, pm);
    pm->evt_block = (struct region){
        .name = "ACPI PM1 events", .size = 4, .ops = &evt_ops, .dev = pm};
    pm->cnt_block = (struct region){
        .name = "ACPI PM1 control", .size = 2, .ops = &cnt_ops, .dev = pm};
    pm->tmr_block = (struct region){
        .name = "ACPI PM timer", .size = 4, .ops = &tmr_ops, .dev = pm};
    pm->gpe_block = (struct region){
        .name = "ACPI GPE0", .size = 4, .ops = &gpe_ops, .dev = pm};
}

int acpi_pm_map(struct acpi_pm *pm, uint16_t base)
{
    struct space *io = pm->env->io;
    int rc;

    acpi_pm_unmap(pm);
    if ((rc = space_map(io, base + ACPI_PM_EVT, &pm->evt_block, 1)) ||
        (rc = space_map(io, base + ACPI_PM_CNT, &pm->cnt_block, 1)) ||
        (rc = space_map(io, base + ACPI_PM_TMR, &pm->tmr_block, 1)) ||
        (rc = space_map(io, base + ACPI_PM_GPE0, &pm->gpe_block, 1)))
        acpi_pm_unmap(pm);
    return rc;
}

void acpi_pm_unmap(struct acpi_pm *pm)
{
    space_unmap(&pm->evt_block);
    space_unmap(&pm->cnt_block);
    space_unmap(&pm->tmr_block);
    space_unmap(&pm->gpe_block);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
    pm->sts = pm->en = pm->cnt = pm->gpe_sts = pm->gpe_en = 0;
    pm->half = ticks(pm) >> half_shift(pm);
    update(pm);
}

void acpi_pm_pause(struct acpi_pm *pm)
{
    env_arm(pm->env, &pm->timer, UINT64_MAX);
}

void acpi_pm_resume(struct acpi_pm *pm)
{
    update(pm);
}

int acpi_pm_loaded(struct acpi_pm *pm)
{
    if ((pm->sts & ~STS_BITS) || (pm->en & ~EN_BITS) || (pm->cnt & ~CNT_BITS))
        return -LE_FORMAT;
    update(pm);
    return 0;
}

void acpi_pm_smi_command(struct acpi_pm *pm, uint8_t v)
{
    if (v == ACPI_PM_ENABLE)
        pm->cnt |= PM1_SCI_EN;
    else if (v == ACPI_PM_DISABLE)
        pm->cnt &= ~PM1_SCI_EN;
    drive(pm);
}

bool acpi_pm_power_button(struct acpi_pm *pm)
{
    pm->sts |= PM1_PWRBTN;
    drive(pm);
    return (pm->cnt & PM1_SCI_EN) && (pm->en & PM1_PWRBTN);
}

/* Not by way of IRQ 8: in legacy replacement that is the HPET's. */
void acpi_pm_rtc(struct acpi_pm *pm)
{
    pm->sts |= PM1_RTC;
    drive(pm);
}

void acpi_pm_gpe(struct acpi_pm *pm, unsigned event)
{
    pm->gpe_sts |= (uint16_t)BIT(event & 15);
    drive(pm);
}

const struct field acpi_pm_fields[] = {
    FIELD16(struct acpi_pm, sts),    FIELD16(struct acpi_pm, en),
    FIELD16(struct acpi_pm, cnt),    FIELD16(struct acpi_pm, gpe_sts),
    FIELD16(struct acpi_pm, gpe_en), FIELD64(struct acpi_pm, half),
    FIELDB(struct acpi_pm, level),   FIELD_END,
};
