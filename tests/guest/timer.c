/*
 * The PC's clocks: each counts, fires, and roughly agrees with the PM timer.
 * "Roughly" is within a factor of two: the host may be busy.
 */
#include "guest.h"

enum { HPET = 0xfed00000, IRQ0 = 0x20, IRQ8 = 0x28 };

static volatile unsigned irqs[16];
static volatile uint32_t first, latest;

static void on_irq(struct frame *f)
{
    unsigned n = (unsigned)f->vector - IRQ0;

    latest = pm_ticks();
    if (!irqs[n]++)
        first = latest;
    if (n == 8) {
        outb(0x70, 0x0c);
        inb(0x71);
        outb(0xa0, 0x20);
    }
    outb(0x20, 0x20);
}

static bool about(uint64_t got, uint64_t want)
{
    return got >= want / 2 && got <= want * 2;
}

static unsigned pit_count(void)
{
    unsigned v;

    outb(0x43, 0x00);
    v = inb(0x40);
    return v | (unsigned)inb(0x40) << 8;
}

/* n periods of a line that fires, and how long they take together. A host that
   was away meanwhile gets another chance; a wrong rate stays wrong. */
static bool periods(unsigned line, unsigned n, uint32_t want)
{
    bool good = false;

    for (unsigned tries = 0; tries < 8 && !good; tries++) {
        uint32_t start = pm_ticks();

        irqs[line] = 0;
        sti();
        while (irqs[line] <= n && ((pm_ticks() - start) & 0xffffff) < 14000000)
            pause();
        cli();
        if (irqs[line] <= n)
            return false;
        good = about((latest - first) & 0xffffff, want);
    }
    return good;
}

static void pit(void)
{
    uint32_t start, ticks;
    bool steady;

    outb(0x43, 0x34); /* rate generator */
    outb(0x40, 0);
    outb(0x40, 0);
    unsigned a = pit_count();
    start = pm_ticks();
    delay_us(5000);
    unsigned b = pit_count();
    ticks = (pm_ticks() - start) & 0xffffff;
    check("pit against pm timer", about((a - b) & 0xffff, ticks / 3), 1);
    outb(0x43, 0x34);
    outb(0x40, 11932 & 0xff); /* 100 Hz */
    outb(0x40, 11932 >> 8);
    outb(0x21, 0xfe);
    steady = periods(0, 20, 715909);
    outb(0x21, 0xff);
    check("pit interrupts", irqs[0] >= 21, 1);
    check("20 pit periods of 10 ms", steady, 1);
    outb(0x43, 0xe2); /* read back status of counter 0 */
    check("pit status, mode 2", inb(0x40) & 0x3f, 0x34);
}

static uint8_t cmos(unsigned n)
{
    outb(0x70, (uint8_t)n);
    return inb(0x71);
}

static void cmos_write(unsigned n, uint8_t v)
{
    outb(0x70, (uint8_t)n);
    outb(0x71, v);
}

static void rtc(void)
{
    uint32_t start = pm_ticks();
    uint8_t was, b = cmos(0x0b);
    bool steady;

    while (cmos(0x0a) & 0x80)
        ;
    was = cmos(0);
    while (cmos(0) == was && ((pm_ticks() - start) & 0xffffff) < 15000000)
        pause();
    check("rtc seconds change", cmos(0) != was, 1);
    check("rtc valid ram and time", cmos(0x0d), 0x80);
    cmos_write(0x0a, 0x2a); /* 64 Hz: a busy host keeps up */
    cmos_write(0x0b, b | 0x40);
    cmos(0x0c);
    outb(0x21, 0xfb);
    outb(0xa1, 0xfe);
    steady = periods(8, 8, 447443);
    mask_pics();
    cmos_write(0x0b, b);
    check("rtc interrupts", irqs[8] >= 9, 1);
    check("8 rtc periods of 1/64 s", steady, 1);
}

static void hpet(void)
{
    uint32_t id = read32(HPET), period = read32(HPET + 4), a, start, ticks;

    check("hpet vendor", id >> 16, 0x8086);
    check("hpet period", period, 10000000); /* fs */
    write32(HPET + 0x10, 1);
    a = read32(HPET + 0xf0);
    start = pm_ticks();
    delay_us(10000);
    a = read32(HPET + 0xf0) - a;
    ticks = (pm_ticks() - start) & 0xffffff;
    check("hpet against pm timer", about(a, (uint64_t)ticks * 28), 1);
    write32(HPET + 0x10, 0);
    a = read32(HPET + 0xf0);
    delay_us(100);
    check("hpet stopped", read32(HPET + 0xf0) - a, 0);
    /* Timer 0 fires as IRQ 0 through the legacy route. */
    irqs[0] = 0;
    write32(HPET + 0xf0, 0);
    write32(HPET + 0xf4, 0);
    write32(HPET + 0x100, 1 << 2 | 1 << 8); /* one-shot, 32 bits */
    write32(HPET + 0x108, 200000);
    write32(HPET + 0x10, 3);
    outb(0x21, 0xfe);
    sti();
    start = pm_ticks();
    while (!irqs[0] && ((pm_ticks() - start) & 0xffffff) < 14000000)
        pause();
    cli();
    check("hpet as irq 0", irqs[0], 1);
    write32(HPET + 0x10, 0);
    mask_pics();
}

static void tsc(void)
{
    uint32_t start = pm_ticks(), ticks;
    uint64_t a = rdtsc(), first_half, second;

    delay_us(10000);
    first_half = rdtsc() - a;
    ticks = (pm_ticks() - start) & 0xffffff;
    start = pm_ticks();
    a = rdtsc();
    delay_us(10000);
    second = rdtsc() - a;
    check("tsc is steady against the pm timer",
          about(first_half * (((pm_ticks() - start) & 0xffffff) + 1),
                second * (ticks + 1)),
          1);
}

void test_main(void)
{
    for (int n = 0; n < 16; n++)
        handlers[IRQ0 + n] = on_irq;
    pics_at(IRQ0);
    pit();
    rtc();
    hpet();
    tsc();
}
