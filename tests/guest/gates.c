/*
 * Call, interrupt and trap gates of 16 and 32 bits, between privileges and
 * within one; conforming segments; far returns and IRET to outer rings; what
 * each check that fails raises. SDM volume 3, 5.8, 6.12, 6.13; CALL, INT, IRET
 * and RET in volume 2.
 */
#include "guest.h"
#include "gates.h"

enum {
    CALL16 = 0x84,
    CALL32 = 0x8c,
    INT16 = 0x86,
    TRAP16 = 0x87,
    INT32 = 0x8e,
    TRAP32 = 0x8f,
    DPL3 = 0x60
};
enum { FL_TF = 0x100, FL_IF = 0x200, FL_NT = 0x4000, FL_IOPL3 = 0x3000 };
enum { SP0 = 4, SS0 = 8, SP1 = 12, SS1 = 16 }; /* in the TSS */

uint32_t seen[24], frame[5], sp_after;
struct {
    uint32_t offset;
    uint16_t sel;
} __attribute__((packed)) to;

static uint8_t user_stack[4096] __attribute__((aligned(16)));
static uint8_t inner_stack[4096] __attribute__((aligned(16)));
#define INNER_TOP ((uint32_t)(inner_stack + sizeof inner_stack))

#define LABEL(name) extern const char name[];
LABEL(inner_base)
LABEL(inner_ret)
LABEL(inner_ret8)
LABEL(inner_retw) LABEL(inner_retw4) LABEL(inner_iret) LABEL(inner_iretw)
    LABEL(user_call) LABEL(user_after_call) LABEL(user_callw)
        LABEL(user_after_callw) LABEL(user_jmp) LABEL(user_int)
            LABEL(user_after_int) LABEL(user_ud) LABEL(user_segments)
                LABEL(ring1) void go_call(void *),
    go_jmp(void *), go_int(void *);
void go_ud(void *), go_iret(void *), go_lret(void *), go_user(void *);
void go_segments(void *);
void leave_guard(void) __attribute__((noreturn));

static uint32_t offset(const char *label)
{
    return (uint32_t)(label - inner_base);
}

/* --- set-up --- */

static void set_call_gate(unsigned type, unsigned sel, uint32_t at,
                          unsigned params)
{
    gdt[GATE / 8] = (at & 0xffff) | (uint64_t)sel << 16 |
                    (uint64_t)params << 32 | (uint64_t)type << 40 |
                    (uint64_t)(at >> 16) << 48;
}

static void set_int_gate(int vector, unsigned type, unsigned sel, uint32_t at)
{
    set_gate(vector, at, type, 0);
    set_gate_selector(vector, sel);
}

static void tss_field(unsigned at, uint32_t v)
{
    memcpy(tss + at, &v, sizeof v);
}

static void reset(void)
{
    uint32_t base = (uint32_t)inner_base;

    set_descriptor(INNER_CODE, base, 0xfffff, 0x9b, 0xc);
    set_descriptor(USER_CODE, base, 0xfffff, 0xfb, 0xc);
    set_descriptor(USER_STACK, (uint32_t)user_stack, 0xfff, 0xf3, 4);
    set_descriptor(CONFORMING, base, 0xfffff, 0x9f, 0xc);
    set_descriptor(CONF_DPL3, base, 0xfffff, 0xff, 0xc);
    set_descriptor(RING1_CODE, base, 0xfffff, 0xbb, 0xc);
    set_descriptor(RING1_DATA, 0, 0xfffff, 0xb3, 0xc);
    set_descriptor(SHORT_CODE, base, 15, 0x9b, 4);
    set_call_gate(CALL32 | DPL3, INNER_CODE, offset(inner_ret), 0);
    set_int_gate(0x92, INT32 | DPL3, INNER_CODE, offset(inner_iret));
    tss_field(SP0, INNER_TOP);
    tss_field(SS0, DATA32);
    tss_field(SP1, INNER_TOP);
    tss_field(SS1, RING1_DATA);
    memset(seen, 0, sizeof seen);
    memset(user_stack, 0, sizeof user_stack);
    to.sel = GATE;
    to.offset = 0;
    sp_after = 0;
}

/* 0x800000: it went well and ended with int 0x80 at CPL 3. */
static uint64_t at_user(const char *label)
{
    return trap_code(guard(go_user, (void *)offset(label)));
}

static bool words_are(unsigned size, unsigned n, const uint32_t *want)
{
    const uint8_t *p = (const uint8_t *)seen + SEEN_WORDS;

    for (unsigned k = 0; k < n; k++, p += size) {
        uint32_t v = size == 2 ? (uint32_t)(p[0] | p[1] << 8)
                               : *(const uint32_t *)(const void *)p;

        if (v != (size == 2 ? (uint16_t)want[k] : want[k]))
            return false;
    }
    return true;
}

/* --- call gates that work --- */

static const struct {
    const char *name, *code, *target;
    uint8_t type, params, size;
    uint16_t sel;
    uint32_t cs, ss;
    bool inner;
} calls[] = {
    {"call gate, ", user_call, inner_ret, CALL32, 0, 4, INNER_CODE, INNER_CODE,
     DATA32, true},
    {"call gate, 2 parameters, ", user_call, inner_ret8, CALL32, 2, 4,
     INNER_CODE | 3, INNER_CODE, DATA32, true},
    {"16-bit call gate, ", user_callw, inner_retw, CALL16, 0, 2, INNER_CODE,
     INNER_CODE, DATA32, true},
    {"16-bit call gate, 2 parameters, ", user_callw, inner_retw4, CALL16, 2, 2,
     INNER_CODE, INNER_CODE, DATA32, true},
    {"call gate to ring 1, ", user_call, inner_ret, CALL32, 0, 4, RING1_CODE,
     RING1_CODE, RING1_DATA, true},
    {"call gate to conforming, ", user_call, inner_ret, CALL32, 2, 4,
     CONFORMING, CONFORMING | 3, USER_STACK, false},
    {"call gate to ring 3, ", user_call, inner_ret, CALL32, 2, 4, USER_CODE,
     USER_CODE, USER_STACK, false},
};

static void check_calls(void)
{
    for (unsigned n = 0; n < sizeof calls / sizeof calls[0]; n++) {
        unsigned size = calls[n].size, words = 2, released = 0;
        bool narrow = size == 2, inner = calls[n].inner;
        uint32_t sp = USER_TOP - 2 * size,
                 want[6] = {offset(narrow ? user_after_callw : user_after_call),
                            USER_CODE};

        check_prefix = calls[n].name;
        reset();
        set_call_gate(calls[n].type | DPL3, calls[n].sel,
                      offset(calls[n].target), calls[n].params);
        if (inner) {
            for (unsigned k = 0; k < calls[n].params; k++)
                want[words++] = k ? 0x44444444 : 0x33333333;
            want[words++] = sp;
            want[words++] = USER_STACK;
            released = calls[n].params * size;
        }
        check("result", at_user(calls[n].code), 0x800000);
        check("cs", (uint16_t)seen[SEEN_CS / 4], calls[n].cs);
        check("ss", (uint16_t)seen[SEEN_SS / 4], calls[n].ss);
        check("bytes pushed", (inner ? INNER_TOP : sp) - seen[SEEN_SP / 4],
              words * size);
        check("frame", words_are(size, words, want), 1);
        check("sp after", sp_after, sp + released);
    }
}

/* --- interrupts that work --- */

static const struct {
    const char *name, *target;
    uint8_t type, size;
    uint16_t sel;
    uint32_t cs, ss;
    bool inner;
} ints[] = {
    {"interrupt gate, ", inner_iret, INT32, 4, INNER_CODE, INNER_CODE, DATA32,
     true},
    {"trap gate, ", inner_iret, TRAP32, 4, INNER_CODE | 3, INNER_CODE, DATA32,
     true},
    {"16-bit interrupt gate, ", inner_iretw, INT16, 2, INNER_CODE, INNER_CODE,
     DATA32, true},
    {"16-bit trap gate, ", inner_iretw, TRAP16, 2, INNER_CODE, INNER_CODE,
     DATA32, true},
    {"interrupt gate to ring 1, ", inner_iret, INT32, 4, RING1_CODE, RING1_CODE,
     RING1_DATA, true},
    {"interrupt gate to conforming, ", inner_iret, INT32, 4, CONFORMING,
     CONFORMING | 3, USER_STACK, false},
    {"trap gate to ring 3, ", inner_iret, TRAP32, 4, USER_CODE, USER_CODE,
     USER_STACK, false},
};

static void check_ints(void)
{
    for (unsigned n = 0; n < sizeof ints / sizeof ints[0]; n++) {
        unsigned size = ints[n].size, words = ints[n].inner ? 5 : 3;
        uint32_t want[5] = {offset(user_after_int), USER_CODE, 2, USER_TOP,
                            USER_STACK};

        check_prefix = ints[n].name;
        reset();
        set_int_gate(0x92, ints[n].type | DPL3, ints[n].sel,
                     offset(ints[n].target));
        check("result", at_user(user_int), 0x800000);
        check("cs", (uint16_t)seen[SEEN_CS / 4], ints[n].cs);
        check("ss", (uint16_t)seen[SEEN_SS / 4], ints[n].ss);
        check("bytes pushed",
              (ints[n].inner ? INNER_TOP : USER_TOP) - seen[SEEN_SP / 4],
              words * size);
        check("frame", words_are(size, words, want), 1);
        check("sp after", sp_after, USER_TOP);
    }
}

/* What gates do to IF and NT; at CPL 0, interrupts may come (none is due). */
static void check_flags(void)
{
    static const struct {
        const char *name;
        uint8_t type;
        uint32_t want;
    } rows[] = {{"flags in an interrupt gate", INT32, 2},
                {"flags in a trap gate", TRAP32, 2 | FL_IF}};

    check_prefix = "";
    mask_pics();
    for (unsigned n = 0; n < 2; n++) {
        reset();
        set_int_gate(0x92, rows[n].type, INNER_CODE, offset(inner_iret));
        __asm__ volatile("pushl $0x4202; popfl; int $0x92; pushl $2; popfl"
                         :
                         :
                         : "eax", "memory", "cc");
        check(rows[n].name, seen[SEEN_FLAGS / 4], rows[n].want);
        check("flags saved", seen[SEEN_WORDS / 4 + 2], 0x4202);
    }
}

/* --- call gates that do not --- */

enum from { KERNEL, USER };
static const struct {
    const char *name;
    enum from from;
    bool jmp;
    uint16_t to;     /* 0: the gate */
    uint8_t type;    /* of the gate */
    uint16_t sel;    /* in the gate */
    uint8_t access;  /* of BAD */
    uint32_t offset; /* in the gate; 0: inner_ret */
    uint32_t want;
} bad_calls[] = {
    {"call, gate not present", USER, 0, 0, 0x6c, INNER_CODE, 0, 0, 0xb0090},
    {"call, gate of dpl 0", USER, 0, 0, CALL32, INNER_CODE, 0, 0, 0xd0090},
    {"call, rpl above the gate's dpl", KERNEL, 0, 0, CALL32, INNER_CODE, 0, 0,
     0xd0090},
    {"call, gate to null", USER, 0, 0, CALL32 | DPL3, 3, 0, 0, 0xd0000},
    {"call, gate to data", USER, 0, 0, CALL32 | DPL3, DATA32, 0, 0,
     0xd0000 | DATA32},
    {"call, gate to a tss", USER, 0, 0, CALL32 | DPL3, TSS_SEL, 0, 0,
     0xd0000 | TSS_SEL},
    {"call, gate beyond the gdt", USER, 0, 0, CALL32 | DPL3, 0x1000, 0, 0,
     0xd1000},
    {"call, gate into no ldt", USER, 0, 0, CALL32 | DPL3, 0x0c, 0, 0, 0xd000c},
    {"call, gate to code not present", USER, 0, 0, CALL32 | DPL3, BAD, 0x1b, 0,
     0xb0000 | BAD},
    {"call, gate to an outer ring", KERNEL, 0, 0, CALL32 | DPL3, USER_CODE, 0,
     0, 0xd0068},
    {"call, gate to outer conforming", KERNEL, 0, 0, CALL32 | DPL3, CONF_DPL3,
     0, 0, 0xd00a8},
    {"call, gate beyond the limit", USER, 0, 0, CALL32 | DPL3, SHORT_CODE, 0,
     16, 0xd0000},
    {"jmp by gate to an inner ring", USER, 1, 0, CALL32 | DPL3, INNER_CODE, 0,
     0, 0xd0000 | INNER_CODE},
    {"call to an inner ring", USER, 0, INNER_CODE, CALL32, 0, 0, 0,
     0xd0000 | INNER_CODE},
    {"call to an outer ring", KERNEL, 0, USER_CODE, CALL32, 0, 0, 0, 0xd0068},
    {"call to outer conforming", KERNEL, 0, CONF_DPL3, CALL32, 0, 0, 0,
     0xd00a8},
    {"call, rpl above cpl", KERNEL, 0, INNER_CODE | 3, CALL32, 0, 0, 0,
     0xd0000 | INNER_CODE},
    {"call to null", USER, 0, 3, CALL32, 0, 0, 0, 0xd0000},
    {"call to data", USER, 0, DATA32, CALL32, 0, 0, 0, 0xd0000 | DATA32},
    {"call to an interrupt gate", USER, 0, BAD | 3, CALL32, 0, 0xee, 0,
     0xd0000 | BAD},
    {"jmp to code not present", USER, 1, BAD | 3, CALL32, 0, 0x7b, 0,
     0xb0000 | BAD},
};

static void check_bad_calls(void)
{
    check_prefix = "";
    for (unsigned n = 0; n < sizeof bad_calls / sizeof bad_calls[0]; n++) {
        bool jmp = bad_calls[n].jmp;

        reset();
        set_descriptor(BAD, (uint32_t)inner_base, 0xfffff, bad_calls[n].access,
                       0xc);
        set_call_gate(
            bad_calls[n].type, bad_calls[n].sel,
            bad_calls[n].offset ? bad_calls[n].offset : offset(inner_ret), 0);
        if (bad_calls[n].to)
            to.sel = bad_calls[n].to;
        to.offset = offset(inner_ret);
        if (bad_calls[n].from == USER)
            check(bad_calls[n].name, at_user(jmp ? user_jmp : user_call),
                  bad_calls[n].want);
        else
            check(bad_calls[n].name, trap_code(guard(go_call, 0)),
                  bad_calls[n].want);
    }
}

/* --- the inner stack --- */

/* Ring 1's, so that the handlers of what is raised, in ring 0, have a good one.
   EXT is set when nobody asked for the interrupt. */
static const struct {
    const char *name;
    uint32_t ss;
    uint8_t access; /* of BAD */
    uint32_t want;
} stacks[] = {
    {"inner ss null", 0, 0, 0xa0000},
    {"inner ss of rpl 3", RING1_DATA | 3, 0, 0xa0088},
    {"inner ss of dpl 3", (USER_DATA & ~3) | 1, 0, 0xa0028},
    {"inner ss of dpl 0", DATA32 | 1, 0, 0xa0010},
    {"inner ss read-only", BAD | 1, 0xb1, 0xa0098},
    {"inner ss is code", RING1_CODE, 0, 0xa0080},
    {"inner ss not present", BAD | 1, 0x33, 0xc0098},
    {"inner ss beyond the gdt", 0x1001, 0, 0xa1000},
};

static void check_stacks(void)
{
    static const struct {
        const char *name, *code;
    } ways[] = {{"call, ", user_call}, {"int, ", user_int}, {"ud2, ", user_ud}};

    for (unsigned w = 0; w < 3; w++) {
        check_prefix = ways[w].name;
        for (unsigned n = 0; n < sizeof stacks / sizeof stacks[0]; n++) {
            reset();
            set_descriptor(BAD, 0, 0xfffff, stacks[n].access, 0xc);
            set_call_gate(CALL32 | DPL3, RING1_CODE, offset(inner_ret), 0);
            set_int_gate(0x92, INT32 | DPL3, RING1_CODE, offset(inner_iret));
            set_int_gate(6, INT32, RING1_CODE, offset(inner_iret));
            tss_field(SS1, stacks[n].ss);
            check(stacks[n].name, at_user(ways[w].code),
                  stacks[n].want | (w == 2));
            set_gate(6, stub_address(6), 0x8e, 0);
        }
        reset();
        set_call_gate(CALL32 | DPL3, RING1_CODE, offset(inner_ret), 0);
        set_int_gate(0x92, INT32 | DPL3, RING1_CODE, offset(inner_iret));
        set_int_gate(6, INT32, RING1_CODE, offset(inner_iret));
        set_descriptor(TSS_SEL, (uint32_t)tss, SP1 + 3, 0x89, 0);
        __asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
        check("tss too short", at_user(ways[w].code),
              0xa0000 | TSS_SEL | (w == 2));
        set_gate(6, stub_address(6), 0x8e, 0);
        set_descriptor(TSS_SEL, (uint32_t)tss, sizeof tss - 1, 0x89, 0);
        __asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
    }
}

/* --- interrupt gates that do not work --- */

static const struct {
    const char *name;
    enum from from;
    uint8_t type;
    uint16_t sel;
    uint8_t access; /* of BAD */
    uint32_t offset;
    uint32_t want;  /* of INT */
    uint32_t other; /* of #UD; 0: no fault */
} bad_ints[] = {
    {"gate of dpl 0", USER, INT32, INNER_CODE, 0, 0, 0xd0492, 0},
    {"gate not present", USER, 0x6e, INNER_CODE, 0, 0, 0xb0492, 0xb0033},
    {"call gate", USER, CALL32 | DPL3, INNER_CODE, 0, 0, 0xd0492, 0xd0033},
    {"tss in the idt", USER, 0xe9, INNER_CODE, 0, 0, 0xd0492, 0xd0033},
    {"null", USER, INT32 | DPL3, 0, 0, 0, 0xd0000, 0xd0001},
    {"data", USER, TRAP32 | DPL3, DATA32, 0, 0, 0xd0010, 0xd0011},
    {"beyond the gdt", USER, INT32 | DPL3, 0x1000, 0, 0, 0xd1000, 0xd1001},
    {"no ldt", USER, INT32 | DPL3, 0x0c, 0, 0, 0xd000c, 0xd000d},
    {"code not present", USER, INT32 | DPL3, BAD, 0x1b, 0, 0xb0098, 0xb0099},
    {"outer ring", KERNEL, INT32, USER_CODE, 0, 0, 0xd0068, 0xd0069},
    {"outer conforming", KERNEL, INT32, CONF_DPL3, 0, 0, 0xd00a8, 0xd00a9},
    {"beyond the limit", USER, INT32 | DPL3, SHORT_CODE, 0, 16, 0xd0000,
     0xd0001},
};

static void check_bad_ints(void)
{
    for (unsigned n = 0; n < sizeof bad_ints / sizeof bad_ints[0]; n++) {
        uint32_t at =
            bad_ints[n].offset ? bad_ints[n].offset : offset(inner_iret);
        bool user = bad_ints[n].from == USER;

        reset();
        set_descriptor(BAD, (uint32_t)inner_base, 0xfffff, bad_ints[n].access,
                       0xc);
        set_int_gate(0x92, bad_ints[n].type, bad_ints[n].sel, at);
        check_prefix = "int, ";
        check(bad_ints[n].name,
              user ? at_user(user_int) : trap_code(guard(go_int, 0)),
              bad_ints[n].want);
        if (!bad_ints[n].other)
            continue;
        check_prefix = "ud2, ";
        set_int_gate(6, bad_ints[n].type, bad_ints[n].sel, at);
        check(bad_ints[n].name,
              user ? at_user(user_ud) : trap_code(guard(go_ud, 0)),
              bad_ints[n].other);
        set_gate(6, stub_address(6), 0x8e, 0);
    }
}

/* --- returns to outer rings --- */

static const struct {
    const char *name;
    uint16_t cs, ss;
    uint8_t access; /* of BAD */
    uint8_t flags;
    uint32_t want;
} returns[] = {
    {"to ring 3", USER_CODE, USER_STACK, 0, 0, 0x800000},
    {"to conforming", CONFORMING | 3, USER_STACK, 0, 0, 0x800000},
    {"cs null", 3, USER_STACK, 0, 0, 0xd0000},
    {"cs is data", USER_DATA, USER_STACK, 0, 0, 0xd0028},
    {"cs is a tss", TSS_SEL | 3, USER_STACK, 0, 0, 0xd0050},
    {"cs beyond the gdt", 0x1003, USER_STACK, 0, 0, 0xd1000},
    {"cs of dpl 0, rpl 3", INNER_CODE | 3, USER_STACK, 0, 0, 0xd0060},
    {"cs of dpl 3, rpl 0", USER_CODE & ~3, USER_STACK, 0, 0, 0xd0068},
    {"conforming of dpl 3, rpl 1", (CONF_DPL3 & ~3) | 1, RING1_DATA, 0, 0,
     0xd00a8},
    {"cs not present", BAD | 3, USER_STACK, 0x7b, 12, 0xb0098},
    {"ip beyond the limit", BAD | 3, USER_STACK, 0xfb, 4, 0xd0000},
    {"ss null", USER_CODE, 0, 0, 0, 0xd0000},
    {"ss null of rpl 3", USER_CODE, 3, 0, 0, 0xd0000},
    {"ss of rpl 0", USER_CODE, USER_STACK & ~3, 0, 0, 0xd0070},
    {"ss of dpl 0", USER_CODE, DATA32 | 3, 0, 0, 0xd0010},
    {"ss is code", USER_CODE, USER_CODE, 0, 0, 0xd0068},
    {"ss read-only", USER_CODE, BAD | 3, 0xf1, 12, 0xd0098},
    {"ss not present", USER_CODE, BAD | 3, 0x73, 12, 0xc0098},
    {"ss beyond the gdt", USER_CODE, 0x1003, 0, 0, 0xd1000},
};

static void check_returns(void)
{
    static void (*const ways[])(void *) = {go_iret, go_lret};

    for (unsigned w = 0; w < 2; w++) {
        check_prefix = w ? "ret, " : "iret, ";
        for (unsigned n = 0; n < sizeof returns / sizeof returns[0]; n++) {
            reset();
            set_descriptor(BAD,
                           returns[n].flags == 4 ? (uint32_t)inner_base : 0,
                           returns[n].flags == 4 ? 15 : 0xfffff,
                           returns[n].access, returns[n].flags);
            frame[0] = offset(user_after_call);
            frame[1] = returns[n].cs;
            frame[2] = 2;
            frame[3] = USER_TOP;
            frame[4] = returns[n].ss;
            check(returns[n].name, trap_code(guard(ways[w], 0)),
                  returns[n].want);
        }
    }
    check_prefix = "";
    reset();
    frame[0] = offset(ring1);
    frame[1] = RING1_CODE;
    frame[2] = 2;
    frame[3] = INNER_TOP;
    frame[4] = RING1_DATA;
    check("iret to ring 1, ret to ring 3", trap_code(guard(go_iret, 0)),
          0x800000);
    check("cs in ring 1", (uint16_t)seen[0], RING1_CODE);
    check("ss in ring 1", (uint16_t)seen[1], RING1_DATA);
}

/* Data segments of inner rings are taken away on the way out. */
static uint32_t left[4];

static void note_segments(struct frame *f)
{
    left[0] = (uint16_t)f->ax;
    left[1] = (uint16_t)f->bx;
    left[2] = (uint16_t)f->cx;
    left[3] = (uint16_t)f->dx;
    handlers[0x80] = NULL;
    last.vector = 0x80;
    leave_guard();
}

static void check_segments(void)
{
    reset();
    handlers[0x80] = note_segments;
    guard(go_segments, 0);
    check("outer ring, ds of dpl 0", left[0], 0);
    check("outer ring, es of dpl 3", left[1], USER_DATA);
    check("outer ring, fs conforming", left[2], CONFORMING);
    check("outer ring, gs of dpl 1", left[3], 0);
}

/* --- double faults --- */

static void check_double(void)
{
    static const struct {
        const char *name;
        uint8_t absent[2];
        const char *code;
        uint32_t want;
    } rows[] = {
        {"ud, no gate", {6, 0}, user_ud, 0xb0033},
        {"ud, no gate, np, no gate", {6, 11}, user_ud, 0x80000},
    };

    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        reset();
        for (unsigned k = 0; k < 2; k++)
            if (rows[n].absent[k])
                set_gate(rows[n].absent[k], stub_address(rows[n].absent[k]),
                         0x0e, 0);
        check(rows[n].name, at_user(rows[n].code), rows[n].want);
        set_gate(6, stub_address(6), 0x8e, 0);
        set_gate(11, stub_address(11), 0x8e, 0);
    }
}

void test_main(void)
{
    check_calls();
    check_ints();
    check_flags();
    check_bad_calls();
    check_stacks();
    check_bad_ints();
    check_returns();
    check_segments();
    check_double();
}
