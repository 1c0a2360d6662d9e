/* The chips that tests use: PM timer, PCI, PICs, local APIC, other CPUs. */
#include "guest.h"

enum { PIIX4_PM_DEV = 1, PIIX4_PM_FN = 3, PMBASE = 0x40, PMREGMISC = 0x80 };

uint32_t pci_read(unsigned dev, unsigned fn, unsigned reg)
{
    outl(0xcf8, 1u << 31 | dev << 11 | fn << 8 | reg);
    return inl(0xcfc);
}

void pci_write(unsigned dev, unsigned fn, unsigned reg, uint32_t v)
{
    outl(0xcf8, 1u << 31 | dev << 11 | fn << 8 | reg);
    outl(0xcfc, v);
}

/* A kernel may start without firmware having placed the PM block. */
static uint16_t pm_base(void)
{
    static uint16_t base;

    if (base)
        return base;
    base = pci_read(PIIX4_PM_DEV, PIIX4_PM_FN, PMBASE) & 0xffc0;
    if (!base) {
        base = 0x600;
        pci_write(PIIX4_PM_DEV, PIIX4_PM_FN, PMBASE, base | 1);
    }
    pci_write(PIIX4_PM_DEV, PIIX4_PM_FN, PMREGMISC,
              pci_read(PIIX4_PM_DEV, PIIX4_PM_FN, PMREGMISC) | 1);
    return base;
}

uint32_t pm_ticks(void)
{
    return inl((uint16_t)(pm_base() + 8)) & 0xffffff;
}

void delay_us(unsigned us)
{
    uint32_t start = pm_ticks();
    uint32_t ticks = us * 3 + us / 1000 * 580; /* at most four seconds */

    while (((pm_ticks() - start) & 0xffffff) < ticks)
        pause();
}

void mask_pics(void)
{
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void pics_at(uint8_t vector)
{
    const uint8_t words[][2] = {
        {0x11, 0x11}, {vector, (uint8_t)(vector + 8)}, {4, 2}, {1, 1}};

    for (int n = 0; n < 4; n++) {
        outb(n ? 0x21 : 0x20, words[n][0]);
        outb(n ? 0xa1 : 0xa0, words[n][1]);
    }
    mask_pics();
}

void lapic_enable(void)
{
    mask_pics();
    wrmsr(0x1b, rdmsr(0x1b) | 0x800);
    lapic_write(0xf0, 0x1ff);
    lapic_write(0x80, 0);
}

void lapic_eoi(void)
{
    lapic_write(0xb0, 0);
}

void send_ipi(uint32_t apic_id, uint32_t low)
{
    lapic_write(0x310, apic_id << 24);
    lapic_write(0x300, low);
    while (lapic_read(0x300) & 1 << 12)
        pause();
}

#ifdef __x86_64__
enum { TRAMPOLINE = 0x8000, STACK = 16384 };
extern const char trampoline[], trampoline_end[];
uint8_t ap_stacks[MAX_CPUS][STACK] __attribute__((aligned(16)));
uint32_t ap_count;
static void (*ap_main)(unsigned n);
static volatile unsigned arrived;
void ap_start(unsigned n);

void ap_start(unsigned n)
{
    __asm__ volatile("lidt %0" : : "m"(idt_table));
    lapic_enable();
    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
    ap_main(n);
    for (;;)
        __asm__ volatile("cli; hlt");
}

unsigned start_cpus(unsigned count, void (*main)(unsigned n))
{
    ap_main = main;
    memcpy((void *)TRAMPOLINE, trampoline,
           (size_t)(trampoline_end - trampoline));
    lapic_enable();
    lapic_write(0x300, 0xc4500); /* INIT to all but self */
    delay_us(10000);
    lapic_write(0x300, 0xc4600 | TRAMPOLINE >> 12);
    delay_us(200);
    for (int n = 0; n < 2000 && arrived < count; n++)
        delay_us(1000);
    return arrived;
}
#endif
