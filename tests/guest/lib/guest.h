/*
 * A small runtime for test kernels, 32 or 64 bit (-m32, -m64): the CPU as a
 * multiboot loader leaves it, made usable; traps caught; lines on COM1.
 *
 * A kernel defines test_main(), which calls check() for each thing it looks
 * at. Each check prints one line, "name: value"; a value that is not the
 * wanted one adds "FAIL". The last line is "PASS n" or "FAIL k of n", and the
 * machine ends through port 0xf4 (debug-exit).
 */
#ifndef GUEST_H
#define GUEST_H

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

/* Selectors of the GDT; the rest is free for tests (FREE_SEL and up). */
#define CODE32      0x08
#define DATA32      0x10
#define CODE64      0x18
#define USER_CODE32 0x23
#define USER_DATA   0x2b
#define USER_CODE64 0x33
#define CODE16      0x38
#define DATA16      0x40
#define TSS_SEL     0x50
#define FREE_SEL    0x60
#define GDT_ENTRIES 64
#ifdef __x86_64__
#define KERNEL_CS CODE64
#else
#define KERNEL_CS CODE32
#endif

#ifndef __ASSEMBLER__

/* --- output --- */
void print(const char *text);
void print_hex(uint64_t v);
void check(const char *name, uint64_t got, uint64_t want);
extern const char *check_prefix; /* before each name; "" to begin with */
/* For what this CPU does not offer: prints "name: none". */
void absent(const char *name);
void finish(void) __attribute__((noreturn));
void test_main(void);

/* --- traps --- */
#ifdef __x86_64__
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t di, si, bp, dx, cx, bx, ax;
    uint64_t vector, error, ip, cs, flags, sp, ss;
};
#else
struct frame {
    uint32_t gs, fs, es, ds;
    uint32_t di, si, bp, unused, bx, dx, cx, ax;
    uint32_t vector, error, ip, cs, flags, sp, ss; /* sp, ss: from CPL 3 */
};
#endif
/* The last trap that no handler took. */
struct trap {
    int vector; /* -1: none */
    uintptr_t error, ip, cs, flags, sp, cr2, at;
};
extern struct trap last;
typedef void handler(struct frame *f);
/* With a handler a trap returns to where it came from. */
extern handler *handlers[256];
/*
 * Calls fn(arg); any trap without a handler ends it. Returns the vector, or
 * -1. `last` has the rest.
 */
int guard(void (*fn)(void *), void *arg);
/* Runs code at CPL 3 till it traps (int 0x80 ends it well); inside guard(). */
void enter_user(uintptr_t ip, uintptr_t sp, uintptr_t cs, uintptr_t flags);
extern char user_stack_top[];
/* vector << 32 | error code, for check() */
uint64_t trap_code(int vector);

extern uint64_t gdt[GDT_ENTRIES];
struct table {
    uint16_t limit;
    uintptr_t base;
} __attribute__((packed));
extern struct table gdt_table, idt_table;
/* type: 0x8e interrupt gate, 0x8f trap gate, | 0x60 for CPL 3; ist 0..7 */
void set_gate(int vector, uintptr_t to, unsigned type, unsigned ist);
/* Where it leads, if not to the kernel's code segment (KERNEL_CS). */
void set_gate_selector(int vector, unsigned sel);
extern uint64_t stub_address(int vector);
void set_descriptor(unsigned sel, uint32_t base, uint32_t limit,
                    unsigned access, unsigned flags);
extern uint8_t tss[0x68 + 0x20 + 0x2001];

/* --- the machine --- */
static inline void outb(uint16_t p, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p));
}
static inline uint8_t inb(uint16_t p)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p));
    return v;
}
static inline void outl(uint16_t p, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(p));
}
static inline uint32_t inl(uint16_t p)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p));
    return v;
}
static inline uint64_t rdtsc(void)
{
    uint32_t a, d;

    __asm__ volatile("rdtsc" : "=a"(a), "=d"(d));
    return (uint64_t)d << 32 | a;
}
static inline uint64_t rdmsr(uint32_t n)
{
    uint32_t a, d;

    __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(n));
    return (uint64_t)d << 32 | a;
}
static inline void wrmsr(uint32_t n, uint64_t v)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
                     : "memory");
}
struct cpuid {
    uint32_t a, b, c, d;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid r;

    __asm__ volatile("cpuid"
                     : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
                     : "a"(leaf), "c"(sub));
    return r;
}
#define REGISTER(name)                                                         \
    static inline uintptr_t get_##name(void)                                   \
    {                                                                          \
        uintptr_t v;                                                           \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v));                     \
        return v;                                                              \
    }                                                                          \
    static inline void set_##name(uintptr_t v)                                 \
    {                                                                          \
        __asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory");            \
    }
REGISTER(cr0)
REGISTER(cr2)
REGISTER(cr3)
REGISTER(cr4)
REGISTER(dr0)
REGISTER(dr1)
REGISTER(dr6)
REGISTER(dr7)
static inline void invlpg(uintptr_t a)
{
    __asm__ volatile("invlpg (%0)" : : "r"(a) : "memory");
}
static inline void pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}
static inline void cli(void)
{
    __asm__ volatile("cli" : : : "memory");
}
static inline void sti(void)
{
    __asm__ volatile("sti" : : : "memory");
}
static inline uint32_t read32(uintptr_t a)
{
    return *(volatile uint32_t *)a;
}
static inline void write32(uintptr_t a, uint32_t v)
{
    *(volatile uint32_t *)a = v;
}
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);

/* ACPI PM timer, 3.579545 MHz, at port 0xb008 + wherever the PIIX4 has it. */
uint32_t pm_ticks(void);
void delay_us(unsigned us);
uint32_t pci_read(unsigned dev, unsigned fn, unsigned reg);
void pci_write(unsigned dev, unsigned fn, unsigned reg, uint32_t v);
void mask_pics(void);
/* IRQ 0 and up by vector and up; all are masked. */
void pics_at(uint8_t vector);

/* --- local APIC, xAPIC mode --- */
#define LAPIC 0xfee00000u
void lapic_enable(void);
static inline uint32_t lapic_read(unsigned reg)
{
    return read32(LAPIC + reg);
}
static inline void lapic_write(unsigned reg, uint32_t v)
{
    write32(LAPIC + reg, v);
}
void lapic_eoi(void);
void send_ipi(uint32_t apic_id, uint32_t low);

/* --- other CPUs (64-bit kernels) --- */
enum { MAX_CPUS = 8 };
/*
 * Starts all others, which call main(n), n from 1, with interrupts off; waits
 * till `count` have come. Returns how many came (0 on a time-out).
 */
unsigned start_cpus(unsigned count, void (*main)(unsigned n));

#endif
#endif
