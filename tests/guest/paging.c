/* Four-level paging: faults and their codes, A and D bits, sizes, the TLB. */
#include "guest.h"

extern volatile uint64_t pml4[], pdpt[], pd[];

enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128, G = 256 };
#define NX (1ull << 63)

/* A window of 2 MB at 1 GB, mapped by `table`; pages behind it. */
#define WINDOW 0x40000000ul
static volatile uint64_t table[512] __attribute__((aligned(4096)));
static volatile uint64_t other_pdpt[512] __attribute__((aligned(4096)));
static volatile uint64_t other_pd[512] __attribute__((aligned(4096)));
static uint8_t page[2][4096] __attribute__((aligned(4096)));

static void map(unsigned n, uint64_t entry)
{
    table[n] = entry;
    invlpg(WINDOW + n * 4096ul);
}

static void do_read(void *a)
{
    (void)*(volatile uint8_t *)a;
}

static void do_write(void *a)
{
    *(volatile uint8_t *)a = 1;
}

static void do_exec(void *a)
{
    ((void (*)(void))a)();
}

static void do_read_ac(void *a)
{
    __asm__ volatile("stac");
    do_read(a);
    __asm__ volatile("clac");
}

static void do_straddle(void *a)
{
    *(volatile uint64_t *)((uintptr_t)a + 4092) = 0x1122334455667788;
}

__asm__(".text\nu_read: mov (%rdi), %al; int $0x80\n"
        "u_write: movb $1, (%rdi); int $0x80\n"
        "u_exec: jmp *%rdi\n");
extern const char u_read[], u_write[], u_exec[];
static const char *user_code;

static void do_user(void *a)
{
    __asm__ volatile("push $0x2b; push %0; push $2; push $0x33; push %1; iretq"
                     :
                     : "r"(user_stack_top), "r"(user_code), "D"(a));
}

static uint64_t user(const char *code, void *a)
{
    user_code = code;
    return trap_code(guard(do_user, a));
}

static uint64_t code_of(void (*fn)(void *), void *a)
{
    return trap_code(guard(fn, a));
}

static void permissions(void)
{
    uint8_t *w = (uint8_t *)WINDOW;
    uint64_t to = (uintptr_t)page[0];

    page[0][0] = 0xc3; /* ret */
    map(0, 0);
    check("absent, read", code_of(do_read, w + 5), 0xe0000);
    check("cr2", last.cr2, WINDOW + 5);
    check("absent, write", code_of(do_write, w), 0xe0002);
    check("absent, fetch", code_of(do_exec, w), 0xe0010);
    check("absent, user read", user(u_read, w), 0xe0004);
    check("absent, user fetch", user(u_exec, w), 0xe0014);
    map(0, to | P);
    check("read-only, read", code_of(do_read, w), 0xffff);
    check("read-only, write", code_of(do_write, w), 0xe0003);
    check("read-only, user read", user(u_read, w), 0xe0005);
    set_cr0(get_cr0() & ~0x10000ul);
    check("read-only, write without wp", code_of(do_write, w + 8), 0xffff);
    set_cr0(get_cr0() | 0x10000);
    page[0][0] = 0xc3;
    map(0, to | P | U);
    check("user read-only, user read", user(u_read, w), 0x800000);
    check("user read-only, user write", user(u_write, w), 0xe0007);
    map(0, to | P | W | U | NX);
    check("nx, read", code_of(do_read, w), 0xffff);
    check("nx, fetch", code_of(do_exec, w), 0xe0011);
    check("nx, user fetch", user(u_exec, w), 0xe0015);
    map(0, to | P | W | 1ull << 51);
    check("reserved bit, read", code_of(do_read, w), 0xe0009);
    check("reserved bit, write", code_of(do_write, w), 0xe000b);
    check("reserved bit, user read", user(u_read, w), 0xe000d);
    map(0, to | P | W | U);
    wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x800ull);
    map(0, to | P | W | NX);
    check("nx bit without nxe", code_of(do_read, w), 0xe0009);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
    map(0, to | P | W);
    map(1, 0);
    check("straddling write", code_of(do_straddle, w), 0xe0002);
    check("straddling write, cr2", last.cr2, WINDOW + 4096);
    check("straddling write, nothing written", *(uint32_t *)(w + 4092), 0);
    page[0][0] = 0xc3;
}

static void accessed_dirty(void)
{
    uint8_t *w = (uint8_t *)WINDOW;
    uint64_t to = (uintptr_t)page[0];

    map(0, to | P | W);
    other_pd[0] &= ~(uint64_t)(A | D);
    check("neither a nor d", table[0] & (A | D), 0);
    do_read(w);
    check("a by a read", table[0] & (A | D), A);
    check("a of the directory", other_pd[0] & (A | D), A);
    do_write(w + 9);
    check("d by a write", table[0] & (A | D), A | D);
    map(0, to | P);
    code_of(do_write, w);
    check("no d by a refused write", table[0] & D, 0);
    map(0, to | P | W);
    do_read(w);
    table[0] = (uintptr_t)page[1] | P | W | A;
    page[1][0] = 0x77;
    invlpg(WINDOW);
    check("invlpg", *(volatile uint8_t *)w, 0x77);
    table[0] = to | P | W | A;
    set_cr3(get_cr3());
    check("cr3 load flushes", *(volatile uint8_t *)w, 0xc3);
    set_cr4(get_cr4() | 1 << 7);
    map(0, to | P | W | A | G);
    do_read(w);
    table[0] = (uintptr_t)page[1] | P | W | A | G;
    set_cr4(get_cr4() & ~(1ul << 7));
    check("pge off flushes global pages", *(volatile uint8_t *)w, 0x77);
    map(0, to | P | W);
}

static void large_pages(void)
{
    uint8_t *w = (uint8_t *)WINDOW;
    uint64_t self = other_pd[0];

    page[0][3] = 0x55;
    other_pd[1] = P | W | PS;
    do_write(w + 0x200000 + 0x9000);
    check("2 mb: a, d", other_pd[1] & (A | D), A | D);
    check("2 mb page at 0",
          *(volatile uint8_t *)(w + 0x200000 + (uintptr_t)&page[0][3]), 0x55);
    other_pd[1] = P | W | PS | 1 << 13;
    invlpg(WINDOW + 0x200000);
    check("2 mb: reserved bit 13", code_of(do_read, w + 0x200000), 0xe0009);
    other_pd[1] = 0;
    if (cpuid(0x80000001, 0).d & 1 << 26) {
        pdpt[2] = P | W | PS;
        invlpg(2ul << 30);
        check("1 gb page at 0",
              *(volatile uint8_t *)((2ul << 30) + (uintptr_t)&page[0][3]),
              0x55);
        check("1 gb: a", pdpt[2] & (A | D), A);
        pdpt[2] = P | W | PS | 1 << 29;
        invlpg(2ul << 30);
        check("1 gb: reserved bit 29", code_of(do_read, w + (1ul << 30)),
              0xe0009);
    } else {
        absent("1 gb pages");
    }
    pml4[1] = (uintptr_t)other_pdpt | P | W;
    other_pdpt[0] = (uintptr_t)other_pd | P | W;
    check("above 512 gb", *(volatile uint8_t *)((512ul << 30) + 3), 0x55);
    pml4[1] |= PS;
    invlpg(512ul << 30);
    check("ps in a pml4 entry", code_of(do_read, (void *)(512ul << 30)),
          0xe0009);
    pml4[1] = 0;
    other_pd[0] = self;
}

static void supervisor(void)
{
    uint8_t *w = (uint8_t *)WINDOW;
    uint32_t has = cpuid(7, 0).b;

    map(0, (uintptr_t)page[0] | P | W | U);
    page[0][0] = 0xc3;
    check("fetch of a user page", code_of(do_exec, w), 0xffff);
    /* The kernel's own pages must not be the user's. */
    for (unsigned n = 0; n < 512; n++)
        pd[n] &= ~(uint64_t)U;
    set_cr3(get_cr3());
    if (has & 1 << 7) {
        set_cr4(get_cr4() | 1 << 20);
        check("smep, fetch", code_of(do_exec, w), 0xe0011);
        check("smep, read", code_of(do_read, w), 0xffff);
        set_cr4(get_cr4() & ~(1ul << 20));
    } else {
        absent("smep");
    }
    if (has & 1 << 20) {
        set_cr4(get_cr4() | 1 << 21);
        check("smap, read", code_of(do_read, w), 0xe0001);
        check("smap, write", code_of(do_write, w), 0xe0003);
        check("smap, stac", code_of(do_read_ac, w), 0xffff);
        check("smap, clac", code_of(do_read, w), 0xe0001);
        set_cr4(get_cr4() & ~(1ul << 21));
    } else {
        absent("smap");
    }
    for (unsigned n = 0; n < 512; n++)
        pd[n] |= U;
    set_cr3(get_cr3());
}

static void contexts(void)
{
    volatile uint8_t *w = (uint8_t *)WINDOW;
    uintptr_t root = get_cr3() & ~0xffful;
    uint64_t first = (uintptr_t)page[0] | P | W,
             second = (uintptr_t)page[1] | P | W;
    struct {
        uint64_t pcid, address;
    } all = {0, 0};

    page[0][0] = 1;
    page[1][0] = 2;
    if (!(cpuid(1, 0).c & 1 << 17)) {
        absent("pcid");
        return;
    }
    set_cr4(get_cr4() | 1 << 17);
    map(0, first);
    set_cr3(root | 1);
    check("pcid 1", *w, 1);
    set_cr3(root | 2);
    table[0] = second;
    check("pcid 2, changed", *w, 2);
    set_cr3(root | 1);
    check("pcid 1, flushed by its load", *w, 2);
    if (cpuid(7, 0).b & 1 << 10) {
        table[0] = first;
        __asm__ volatile("invpcid %0, %1" : : "m"(all), "r"(2ul) : "memory");
        check("pcid, invpcid of all", *w, 1);
    } else {
        absent("pcid, invpcid of all");
    }
    set_cr3(root);
    set_cr4(get_cr4() & ~(1ul << 17));
}

void test_main(void)
{
    for (unsigned n = 0; n < 512; n++)
        other_pd[n] = pd[512 + n];
    other_pd[0] = (uintptr_t)table | P | W | U;
    pdpt[1] = (uintptr_t)other_pd | P | W | U;
    set_cr3(get_cr3());
    permissions();
    accessed_dirty();
    large_pages();
    supervisor();
    contexts();
}
