/*
 * Paints a screen of 1024 x 768 in 32 bits anew, every pixel of it, 50 times a
 * second, for ever: for tests/perf/vnc.py.
 */
#include "guest.h"

enum { WIDTH = 1024, HEIGHT = 768, IRQ0 = 0x20, VGA_SLOT = 2, DIVISOR = 23864 };

static volatile unsigned frames;

static void vbe(uint16_t reg, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(reg), "Nd"((uint16_t)0x1ce));
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"((uint16_t)0x1cf));
}

static void on_timer(struct frame *f)
{
    (void)f;
    frames++;
    outb(0x20, 0x20);
}

static void paint(uint32_t *pixels, uint32_t n)
{
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++)
            pixels[y * WIDTH + x] = ((x ^ y) + n * 0x10305) & 0xffffff;
}

void test_main(void)
{
    uint32_t *pixels =
        (uint32_t *)(uintptr_t)(pci_read(VGA_SLOT, 0, 0x10) & ~15u);

    vbe(4, 0);
    vbe(1, WIDTH);
    vbe(2, HEIGHT);
    vbe(3, 32);
    vbe(4, 0x41); /* enabled, linear */
    inb(0x3da);
    outb(0x3c0, 0x20); /* the screen is on */
    pics_at(IRQ0);
    handlers[IRQ0] = on_timer;
    outb(0x43, 0x34);
    outb(0x40, DIVISOR & 0xff);
    outb(0x40, DIVISOR >> 8);
    outb(0x21, 0xfe);
    print("painting\n");
    sti();
    for (;;) {
        paint(pixels, frames);
        __asm__ volatile("hlt");
    }
}
