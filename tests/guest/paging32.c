/*
 * 32-bit paging (4 KB and 4 MB pages, PSE-36) and PAE paging (PDPTEs, NX, 2 MB
 * pages): faults and their codes, A and D bits, WP, the TLB, and the ways from
 * one to the other. SDM volume 3, 4.1, 4.3, 4.4, 4.6 to 4.10.
 */
#include "guest.h"

enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128, G = 256 };
#define NX           (1ull << 63)
#define CR0_WP       (1u << 16)
#define CR0_PG       (1u << 31)
#define CR4_PSE      (1u << 4)
#define CR4_PAE      (1u << 5)
#define CR4_PGE      (1u << 7)
#define EFER         0xc0000080u
#define EFER_NXE     (1u << 11)
#define IDENTITY     (P | W | U)
#define WINDOW       0x40000000u /* mapped by `table`; its second page too */
#define WINDOW_LARGE 0x40400000u /* the next 4 MB, for large pages */
#define LARGE        0x01c00000u /* memory for them, 4 MB */

#define PAGE __attribute__((aligned(4096)))
static volatile uint32_t pd32[1024] PAGE, table32[1024] PAGE;
static volatile uint32_t low32[16][1024] PAGE; /* the first 64 MB, one to one */
static volatile uint64_t pdpt[4] __attribute__((aligned(32)));
static volatile uint64_t pd_low[512] PAGE, pd_window[512] PAGE, table[512] PAGE;
static uint8_t page[2][4096] PAGE;
static bool pae; /* which of the two is in use */

/* --- accesses --- */

enum access { READ, WRITE, EXEC, USER_READ, USER_WRITE, USER_EXEC };
uint32_t target; /* of the access */

static void do_read(void *a)
{
    (void)*(volatile uint8_t *)a;
}

static void do_write(void *a)
{
    *(volatile uint8_t *)a = 0xc3;
}

static void do_cross(void *a)
{
    write32((uintptr_t)a, 0x12345678);
}

static void do_exec(void *a)
{
    ((void (*)(void))a)();
}

__asm__(".text\n"
        "user_read: mov target, %ecx; mov (%ecx), %al; int $0x80\n"
        "user_write: mov target, %ecx; movb $0xcd, (%ecx); int $0x80\n"
        "user_exec: mov target, %ecx; jmp *%ecx\n");
extern const char user_read[], user_write[], user_exec[];

static void do_user(void *code)
{
    enter_user((uintptr_t)code, (uintptr_t)user_stack_top, USER_CODE32, 2);
}

/* vector << 16 | error code; 0: it was let through. */
static uint64_t outcome(enum access how, uint32_t a)
{
    static const char *const user[] = {user_read, user_write, user_exec};
    static void (*const kernel[])(void *) = {do_read, do_write, do_exec};
    int vector;

    target = a;
    if (how >= USER_READ)
        vector = guard(do_user, (void *)(uintptr_t)user[how - USER_READ]);
    else
        vector = guard(kernel[how], (void *)a);
    if (vector == 14 && last.cr2 != a)
        return 0xbad;
    return vector < 0 || vector == 0x80 ? 0 : trap_code(vector);
}

/* --- entries, in either format --- */

static void flush(void)
{
    set_cr3(get_cr3());
}

static void set_table(unsigned n, uint64_t entry)
{
    if (pae)
        table[n] = entry;
    else
        table32[n] = (uint32_t)entry;
    invlpg(WINDOW + n * 4096);
}

static void set_dir(unsigned n, uint64_t entry) /* from WINDOW on */
{
    if (pae)
        pd_window[n] = entry;
    else
        pd32[(WINDOW >> 22) + n] = (uint32_t)entry;
    flush();
}

static uint64_t get_table(unsigned n)
{
    return pae ? table[n] : table32[n];
}

static uint64_t get_dir(unsigned n)
{
    return pae ? pd_window[n] : pd32[(WINDOW >> 22) + n];
}

static uint32_t table_address(void)
{
    return pae ? (uint32_t)table : (uint32_t)table32;
}

/* --- switches --- */

static void paging_off(void)
{
    set_cr0(get_cr0() & ~(CR0_PG | CR0_WP));
    set_cr4(get_cr4() & ~(CR4_PAE | CR4_PSE | CR4_PGE));
    wrmsr(EFER, 0);
}

static void paging_32(void)
{
    pae = false;
    check_prefix = "32: ";
    for (unsigned n = 0; n < 16 * 1024; n++)
        low32[n / 1024][n % 1024] = n << 12 | IDENTITY;
    for (unsigned n = 0; n < 16; n++)
        pd32[n] = (uint32_t)low32[n] | IDENTITY;
    set_cr3((uint32_t)pd32);
    set_cr0(get_cr0() | CR0_PG);
}

static void make_pae(volatile uint64_t *to, unsigned second)
{
    for (unsigned n = 0; n < 512; n++)
        pd_low[n] = (uint64_t)n << 21 | PS | IDENTITY;
    to[0] = (uint32_t)pd_low | P;
    to[1] = (uint32_t)pd_window | second;
    to[2] = to[3] = 0;
}

static void paging_pae(uint32_t efer)
{
    pae = true;
    check_prefix = "pae: ";
    make_pae(pdpt, P);
    wrmsr(EFER, efer);
    set_cr4(get_cr4() | CR4_PAE);
    set_cr3((uint32_t)pdpt);
    set_cr0(get_cr0() | CR0_PG);
}

/* --- rights: the same in both, and what A and D become --- */

static const struct {
    const char *name;
    uint8_t dir, page;
    enum access how;
    bool wp;
    uint32_t want;
    uint8_t bits; /* A of the directory, A and D of the page */
} rights[] = {
    {"read", P | W | U, P | W | U, READ, 0, 0, 6},
    {"write", P | W | U, P | W | U, WRITE, 0, 0, 7},
    {"execute", P | W | U, P | W | U, EXEC, 0, 0, 6},
    {"user read", P | W | U, P | W | U, USER_READ, 0, 0, 6},
    {"user write", P | W | U, P | W | U, USER_WRITE, 0, 0, 7},
    {"user execute", P | W | U, P | W | U, USER_EXEC, 0, 0, 6},
    {"no directory, read", W | U, P | W | U, READ, 0, 0xe0000, 0},
    {"no directory, user write", W | U, P | W | U, USER_WRITE, 0, 0xe0006, 0},
    {"no page, read", P | W | U, W | U, READ, 0, 0xe0000, 4},
    {"no page, write", P | W | U, W | U, WRITE, 0, 0xe0002, 4},
    {"no page, execute", P | W | U, W | U, EXEC, 0, 0xe0000, 4},
    {"no page, user read", P | W | U, W | U, USER_READ, 0, 0xe0004, 4},
    {"no page, user execute", P | W | U, W | U, USER_EXEC, 0, 0xe0004, 4},
    {"read-only page, write", P | W | U, P | U, WRITE, 0, 0, 7},
    {"read-only page, write, wp", P | W | U, P | U, WRITE, 1, 0xe0003, 4},
    {"read-only directory, write, wp", P | U, P | W, WRITE, 1, 0xe0003, 4},
    {"read-only page, user write", P | W | U, P | U, USER_WRITE, 0, 0xe0007, 4},
    {"read-only directory, user write", P | U, P | W | U, USER_WRITE, 0,
     0xe0007, 4},
    {"supervisor page, user read", P | W | U, P | W, USER_READ, 0, 0xe0005, 4},
    {"supervisor page, user write", P | W | U, P, USER_WRITE, 0, 0xe0007, 4},
    {"supervisor directory, user read", P | W, P | W | U, USER_READ, 0, 0xe0005,
     4},
    {"supervisor directory, user execute", P | W, P | W | U, USER_EXEC, 0,
     0xe0005, 4},
};

/* Instruction fetches say so where NX is on. */
static void check_rights(bool nx)
{
    for (unsigned n = 0; n < sizeof rights / sizeof rights[0]; n++) {
        bool fetch = rights[n].how == EXEC || rights[n].how == USER_EXEC;
        uint32_t want = rights[n].want;
        uint64_t got;

        if (want && fetch && nx)
            want |= 0x10;
        page[0][0] = rights[n].how == USER_EXEC ? 0xcd : 0xc3; /* int, ret */
        page[0][1] = 0x80;
        set_table(0, (uint32_t)page[0] | rights[n].page);
        set_dir(0, table_address() | rights[n].dir);
        if (rights[n].wp)
            set_cr0(get_cr0() | CR0_WP);
        got = outcome(rights[n].how, WINDOW) << 4;
        set_cr0(get_cr0() & ~CR0_WP);
        got |= (get_dir(0) & A ? 4 : 0) | (get_table(0) & A ? 2 : 0) |
               (get_table(0) & D ? 1 : 0);
        check(rights[n].name, got, (uint64_t)want << 4 | rights[n].bits);
    }
    set_dir(0, table_address() | IDENTITY);
}

/* --- the TLB: what must be forgotten --- */

static void check_tlb(void)
{
    volatile uint32_t *a = (volatile uint32_t *)WINDOW;

    write32((uintptr_t)page[0], 1);
    write32((uintptr_t)page[1], 2);
    set_table(0, (uint32_t)page[0] | IDENTITY);
    check("before", *a, 1);
    set_table(0, (uint32_t)page[1] | IDENTITY);
    check("after invlpg", *a, 2);
    if (pae)
        table[0] = (uint32_t)page[0] | IDENTITY;
    else
        table32[0] = (uint32_t)page[0] | IDENTITY;
    flush();
    check("after mov to cr3", *a, 1);
    set_cr4(get_cr4() | CR4_PGE);
    set_table(0, (uint32_t)page[0] | IDENTITY | G);
    check("global page", *a, 1);
    set_table(0, (uint32_t)page[1] | IDENTITY | G);
    check("global page after invlpg", *a, 2);
    if (pae)
        table[0] = (uint32_t)page[0] | IDENTITY;
    else
        table32[0] = (uint32_t)page[0] | IDENTITY;
    set_cr4(get_cr4() & ~CR4_PGE);
    check("global page after cr4.pge", *a, 1);
    /* Not present to present needs no flush. */
    set_table(1, 0);
    check("page 1 absent", outcome(READ, WINDOW + 4096), 0xe0000);
    if (pae)
        table[1] = (uint32_t)page[1] | IDENTITY;
    else
        table32[1] = (uint32_t)page[1] | IDENTITY;
    check("page 1 present", read32(WINDOW + 4096), 2);
    /* An access over the border between two pages, of which one is missing. */
    set_table(1, 0);
    write32(WINDOW + 4092, 0);
    check("crossing into an absent page",
          trap_code(guard(do_cross, (void *)(WINDOW + 4094))), 0xe0002);
    check("crossing, cr2", last.cr2, WINDOW + 4096);
    check("crossing, nothing written", read32(WINDOW + 4092), 0);
    check("unmapped quarter", outcome(WRITE, 0xc0000000), 0xe0002);
}

/* --- large pages --- */

static void check_large_32(void)
{
    volatile uint32_t *a = (volatile uint32_t *)(WINDOW_LARGE + 0x123000);

    write32(LARGE + 0x123000, 0x1234);
    /* Without CR4.PSE bit 7 says nothing: a table in LARGE, all zero. */
    memset((void *)LARGE, 0, 4096);
    set_dir(1, LARGE | PS | IDENTITY);
    check("ps without cr4.pse", outcome(READ, WINDOW_LARGE), 0xe0000);
    set_cr4(get_cr4() | CR4_PSE);
    set_dir(1, LARGE | PS | IDENTITY);
    check("4 mb page", *a, 0x1234);
    check("4 mb page, a and d", get_dir(1) & (A | D), A);
    *a = 0x4321;
    check("4 mb page, a and d, written", get_dir(1) & (A | D), A | D);
    check("4 mb page, memory", read32(LARGE + 0x123000), 0x4321);
    set_dir(1, LARGE | PS | P | W);
    check("4 mb page, user", outcome(USER_READ, WINDOW_LARGE), 0xe0005);
    set_dir(1, LARGE | PS | P | U);
    check("4 mb page, user write", outcome(USER_WRITE, WINDOW_LARGE), 0xe0007);
    set_dir(1, LARGE | PS | IDENTITY | 1 << 21);
    check("4 mb page, bit 21", outcome(READ, WINDOW_LARGE), 0xe0009);
    check("4 mb page, bit 21, user write", outcome(USER_WRITE, WINDOW_LARGE),
          0xe000f);
    if (cpuid(1, 0).d & 1 << 17) {
        set_dir(1, LARGE | PS | IDENTITY | 1 << 13); /* + 4 GB */
        check("pse-36, above 4 gb", *a == 0x4321, 0);
    }
    set_dir(1, 0);
}

static void check_large_pae(void)
{
    volatile uint32_t *a = (volatile uint32_t *)(WINDOW_LARGE + 0x123000);

    write32(LARGE + 0x123000, 0x1234);
    set_dir(2, LARGE | PS | IDENTITY); /* whatever CR4.PSE is */
    check("2 mb page", *a, 0x1234);
    check("2 mb page, a and d", get_dir(2) & (A | D), A);
    *a = 0x4321;
    check("2 mb page, a and d, written", get_dir(2) & (A | D), A | D);
    set_dir(2, LARGE | PS | P | W);
    check("2 mb page, user", outcome(USER_READ, WINDOW_LARGE), 0xe0005);
    set_dir(2, LARGE | PS | IDENTITY | 1 << 13);
    check("2 mb page, bit 13", outcome(READ, WINDOW_LARGE), 0xe0009);
    set_dir(2, LARGE | PS | IDENTITY | 1 << 20);
    check("2 mb page, bit 20", outcome(WRITE, WINDOW_LARGE), 0xe000b);
    set_dir(2, 0);
}

/* --- what PAE has of its own --- */

static void load_cr3(void *a)
{
    set_cr3((uintptr_t)a);
}

static void check_pdptes(void)
{
    static volatile uint64_t bad[4] __attribute__((aligned(32)));
    static const struct {
        const char *name;
        uint64_t bits;
        uint32_t want;
    } rows[] = {
        {"pdpte bits 4:3", 0x18, 0xffff},
        {"pdpte bit 1", 2, 0xd0000},
        {"pdpte bit 2", 4, 0xd0000},
        {"pdpte bit 5", 0x20, 0xd0000},
        {"pdpte bit 8", 0x100, 0xd0000},
        {"pdpte bits 11:9", 0xe00, 0xffff},
        {"pdpte bit 51", 1ull << 51, 0xd0000},
        {"pdpte bit 63", NX, 0xd0000},
    };

    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        for (unsigned k = 0; k < 4; k++)
            bad[k] = pdpt[k];
        bad[3] = (uint32_t)pd_window | P | rows[n].bits;
        check(rows[n].name, trap_code(guard(load_cr3, (void *)bad)),
              rows[n].want);
        set_cr3((uint32_t)pdpt);
    }
    bad[3] = 0xffe; /* not present: anything goes */
    check("pdpte not present", trap_code(guard(load_cr3, (void *)bad)), 0xffff);
    check("pdpte not present, read", outcome(READ, 0xc0000000), 0xe0000);
    set_cr3((uint32_t)pdpt);
    set_table(0, (uint32_t)page[0] | IDENTITY);
    pdpt[3] = (uint32_t)pd_window | P;
    set_cr3((uint32_t)pdpt);
    check("pdpte, loaded by mov to cr3", outcome(READ, 0xc0000000), 0);
    /* The registers keep what was loaded. */
    pdpt[3] = 0;
    invlpg(0xc0000000);
    check("pdpte changed in memory", outcome(READ, 0xc0000000), 0);
    set_cr4(get_cr4() ^ CR4_PGE);
    check("pdpte, loaded by mov to cr4", outcome(READ, 0xc0000000), 0xe0000);
    set_cr4(get_cr4() ^ CR4_PGE);
}

static void check_nx(bool on)
{
    static const struct {
        const char *name;
        uint64_t dir, page;
        enum access how;
        uint32_t off, on;
    } rows[] = {
        {"nx page, read", 0, NX, READ, 0xe0009, 0},
        {"nx page, write", 0, NX, WRITE, 0xe000b, 0},
        {"nx page, execute", 0, NX, EXEC, 0xe0009, 0xe0011},
        {"nx page, user execute", 0, NX, USER_EXEC, 0xe000d, 0xe0015},
        {"nx directory, read", NX, 0, READ, 0xe0009, 0},
        {"nx directory, execute", NX, 0, EXEC, 0xe0009, 0xe0011},
        {"page bit 51", 0, 1ull << 51, READ, 0xe0009, 0xe0009},
        {"page bit 52", 0, 1ull << 52, READ, 0xe0009, 0xe0009},
        {"page bit 62", 0, 1ull << 62, WRITE, 0xe000b, 0xe000b},
        {"directory bit 52", 1ull << 52, 0, READ, 0xe0009, 0xe0009},
    };

    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        page[0][0] = 0xc3;
        set_table(0, (uint32_t)page[0] | IDENTITY | rows[n].page);
        set_dir(0, (uint32_t)table | IDENTITY | rows[n].dir);
        check(rows[n].name, outcome(rows[n].how, WINDOW),
              on ? rows[n].on : rows[n].off);
    }
    set_dir(0, (uint32_t)table | IDENTITY);
}

/* --- between them --- */

static void set_pg(void *on)
{
    set_cr0(on ? get_cr0() | CR0_PG : get_cr0() & ~CR0_PG);
}

static void bad_entry_to_pae(void)
{
    static volatile uint64_t bad[4] __attribute__((aligned(32)));

    make_pae(bad, P | W); /* reserved */
    set_cr4(get_cr4() | CR4_PAE);
    set_cr3((uint32_t)bad);
    check("pg with a bad pdpte", trap_code(guard(set_pg, (void *)1)), 0xd0000);
    check("pg with a bad pdpte, cr0.pg", get_cr0() >> 31, 0);
    paging_off();
}

void test_main(void)
{
    write32((uintptr_t)page[0], 7);
    paging_32();
    check_rights(false);
    check_tlb();
    check_large_32();
    paging_off();
    check("off: window is elsewhere", read32(WINDOW) == 1, 0);

    bad_entry_to_pae();
    paging_pae(0);
    check_rights(false);
    check_tlb();
    check_large_pae();
    check_nx(false);
    check_pdptes();
    paging_off();

    if (!(cpuid(0x80000001, 0).d & 1 << 20)) {
        absent("nx");
    } else {
        print("with nx\n");
        paging_pae(EFER_NXE);
        check_nx(true);
        check_rights(true);
        paging_off();
    }
    paging_32(); /* and back */
    set_table(0, (uint32_t)page[0] | IDENTITY);
    set_dir(0, (uint32_t)table32 | IDENTITY);
    check("again, read", outcome(READ, WINDOW), 0);
    paging_off();
}
