/*
 * A floating-point error with CR0.NE clear: FERR# is IRQ 13 in front of the
 * next waiting instruction, port 0xf0 ends it. SDM volume 1, appendix D.
 */
#include "guest.h"

enum { IRQ0 = 0x20, CR0_MP = 2, CR0_NE = 0x20, ZERO_DIVIDE = 4, ERROR = 0x80 };

extern const char in_front[];
static unsigned errors;
static uint16_t status;
static uintptr_t at;

static void on_error(struct frame *f)
{
    errors++;
    at = f->ip;
    outb(0xf0, 0);
    /* IGNNE# lets waiting instructions go on before FNCLEX, too. */
    __asm__ volatile("fnstsw %0; fldz; fstp %%st(0); fnclex" : "=m"(status));
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

static void divide(void *arg)
{
    static const uint16_t control = 0x37b; /* zero divide unmasked */

    (void)arg;
    __asm__ volatile("fninit; fldcw %0; fld1; fldz; .byte 0xde, 0xf9; nop;"
                     "in_front: fwait; fninit"
                     :
                     : "m"(control));
}

void test_main(void)
{
    handlers[IRQ0 + 13] = on_error;
    pics_at(IRQ0);
    outb(0x21, 0xfb); /* the slave's */
    outb(0xa1, 0xdf); /* IRQ 13 */
    set_cr0((get_cr0() & ~0xcul) | CR0_MP | CR0_NE);
    check("with cr0.ne", trap_code(guard(divide, 0)), 0x100000);
    __asm__ volatile("fnclex");
    set_cr0(get_cr0() & ~(uintptr_t)CR0_NE);
    sti();
    check("without, fault", trap_code(guard(divide, 0)), 0xffff);
    check("irq 13", errors, 1);
    check("in front of fwait", at == (uintptr_t)in_front, 1);
    check("status", status & (ERROR | ZERO_DIVIDE), ERROR | ZERO_DIVIDE);
    guard(divide, 0);
    check("irq 13 again", errors, 2);
    cli();
    mask_pics();
}
