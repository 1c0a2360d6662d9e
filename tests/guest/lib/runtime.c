/* Output, traps, tables. */
#include "guest.h"

enum { COM1 = 0x3f8, DEBUG_EXIT = 0xf4 };

struct trap last;
handler *handlers[256];
uint8_t tss[0x68 + 0x20 + 0x2001] __attribute__((aligned(128)));
struct table idt_table;

extern const char stubs[];
extern char boot_stack_top[];
extern uintptr_t guard_sp;
void leave_guard(void) __attribute__((noreturn));
void runtime_init(void);
void trap(struct frame *f);

#ifdef __x86_64__
enum { WORDS = 2 };
#else
enum { WORDS = 1 };
#endif
static uint64_t idt[256 * WORDS] __attribute__((aligned(16)));
static uint8_t kernel_stack[16384] __attribute__((aligned(16)));
static unsigned checks, failures;
const char *check_prefix = "";

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    while (n--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int c, size_t n)
{
    uint8_t *t = to;

    while (n--)
        *t++ = (uint8_t)c;
    return to;
}

/* --- output --- */

static void print_char(char c)
{
    while (!(inb(COM1 + 5) & 0x20))
        ;
    outb(COM1, (uint8_t)c);
}

void print(const char *text)
{
    while (*text)
        print_char(*text++);
}

void print_hex(uint64_t v)
{
    char text[17];
    int n = 16;

    text[n] = 0;
    do {
        text[--n] = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v);
    print(text + n);
}

static void print_decimal(unsigned v)
{
    if (v >= 10)
        print_decimal(v / 10);
    print_char((char)('0' + v % 10));
}

void check(const char *name, uint64_t got, uint64_t want)
{
    checks++;
    print(check_prefix);
    print(name);
    print(": ");
    print_hex(got);
    if (got != want) {
        failures++;
        print(" FAIL, want ");
        print_hex(want);
    }
    print("\n");
}

void absent(const char *name)
{
    print(name);
    print(": none\n");
}

void finish(void)
{
    if (failures) {
        print("FAIL ");
        print_decimal(failures);
        print(" of ");
    } else {
        print("PASS ");
    }
    print_decimal(checks);
    print("\n");
    for (;;)
        outl(DEBUG_EXIT, failures != 0);
}

/* --- traps --- */

uint64_t trap_code(int vector)
{
    return vector < 0 ? 0xffff : (uint64_t)vector << 16 | last.error;
}

void trap(struct frame *f)
{
    if (handlers[f->vector]) {
        handlers[f->vector](f);
        return;
    }
    last = (struct trap){.vector = (int)f->vector,
                         .error = f->error,
                         .ip = f->ip,
                         .cs = f->cs,
                         .flags = f->flags,
                         .cr2 = get_cr2(),
                         .at = (uintptr_t)f};
#ifdef __x86_64__
    last.sp = f->sp;
#else
    last.sp = f->cs & 3 || f->flags & 1 << 17 ? f->sp : (uintptr_t)&f->sp;
#endif
    if (guard_sp)
        leave_guard();
    print("unexpected trap ");
    print_hex(trap_code(last.vector));
    print(" at ");
    print_hex(last.ip);
    print(" cr2 ");
    print_hex(last.cr2);
    print("\n");
    failures++;
    finish();
}

/* --- tables --- */

uint64_t stub_address(int vector)
{
    return (uintptr_t)stubs + (uintptr_t)vector * 16;
}

void set_gate(int vector, uintptr_t to, unsigned type, unsigned ist)
{
    uint64_t *g = &idt[vector * WORDS];
    uint64_t low = (uint32_t)to;

    g[0] = (low & 0xffff) | (uint64_t)KERNEL_CS << 16 | (uint64_t)ist << 32 |
           (uint64_t)type << 40 | (low >> 16) << 48;
    if (WORDS == 2)
        g[WORDS - 1] = (uint64_t)to >> 16 >> 16;
}

void set_gate_selector(int vector, unsigned sel)
{
    uint64_t *g = &idt[vector * WORDS];

    *g = (*g & ~0xffff0000ull) | (uint64_t)sel << 16;
}

void set_descriptor(unsigned sel, uint32_t base, uint32_t limit,
                    unsigned access, unsigned flags)
{
    gdt[sel / 8] = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
                   (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
                   (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

static void set_tss(void)
{
    uintptr_t top = (uintptr_t)kernel_stack + sizeof kernel_stack;

    memcpy(tss + 4, &top, sizeof top); /* SP0 */
    tss[8] = DATA32;                   /* SS0, where TSSs are of 32 bits */
#ifdef __x86_64__
    memcpy(tss + 4, &top, sizeof top);
#endif
    tss[0x66] = 0x88; /* I/O bitmap, with room for VME's redirection map */
    memset(tss + 0x68, 0, 0x20);
    memset(tss + 0x88, 0, 0x2000);
    tss[0x88 + 0x2000] = 0xff;
    set_descriptor(TSS_SEL, (uint32_t)(uintptr_t)tss, sizeof tss - 1, 0x89, 0);
    __asm__ volatile("ltr %w0; lldt %w1" : : "r"(TSS_SEL), "r"(0));
}

void runtime_init(void)
{
    for (int n = 0; n < 256; n++)
        set_gate(n, stub_address(n), 0x8e, 0);
    set_gate(0x80, stub_address(0x80), 0xee, 0);
    set_gate(3, stub_address(3), 0xee, 0);
    set_gate(4, stub_address(4), 0xee, 0);
    idt_table = (struct table){sizeof idt - 1, (uintptr_t)idt};
    __asm__ volatile("lidt %0" : : "m"(idt_table));
    set_tss();
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x80);
    outb(COM1, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 3);
}
