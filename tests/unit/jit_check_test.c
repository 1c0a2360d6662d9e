/*
 * The lock step notices what a translation does wrong (its code is changed
 * behind its back), and lets devices see everything once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../isa/jit_cases.h"
#include "engine/jit/jit.h"
#include "vm/vm.h"

enum { PORT = 0x100, MARK = 0x11223344, ELSEWHERE = 0x40000 };

static struct {
    struct vm *vm;
    struct vcpu *v;
    uint8_t *ram;
    struct region memory, port, other;
    struct cpu_model model;
    struct x86_state state;
    unsigned reads, writes;
    uint32_t written;
    bool spoil; /* MARK in translated code becomes MARK + 1 */
    unsigned spoiled;
} t;

static uint64_t port_read(void *dev, uint64_t off, unsigned bytes)
{
    (void)dev;
    (void)off;
    (void)bytes;
    return ++t.reads;
}

static void port_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    (void)dev;
    (void)off;
    (void)bytes;
    t.writes++;
    t.written = (uint32_t)v;
}

static const struct region_ops port_ops = {port_read, port_write, 1, 4};

static void translated(void *ctx, const void *code, size_t n, uint64_t rip,
                       bool user)
{
    struct jit *j = vm_engine_priv(t.vm);
    uint8_t *rw = j->memory.rw + ((const uint8_t *)code - j->memory.rx);

    (void)ctx;
    (void)rip;
    (void)user;
    for (size_t k = 0; t.spoil && k + 4 <= n; k++)
        if (load_le32(rw + k) == MARK) {
            store_le32(rw + k, MARK + 1);
            t.spoiled++;
            return;
        }
}

static int set_up(void **unused)
{
    static struct rng r = {1};
    struct vm_config config = {.engine = &engine_jit,
                               .model = &t.model,
                               .ncpus = 1,
                               .ram_size = RAM_SIZE,
                               .tuning = {.check = true,
                                          .stress = STRESS_EAGER,
                                          .translated = translated}};
    struct program p = {
        .r = &r, .mode = CASE_64_KERNEL, .wide = true, .at = CODE_AT};
    struct err e;

    (void)unused;
    memset(&t, 0, sizeof t);
    cpu_host_features(&t.model.features);
    t.model.linear_bits = 48;
    t.model.phys_bits = 40;
    t.model.xcr0_mask = 7;
    assert_int_equal(vm_create(&config, &t.vm, &e), 0);
    t.v = vm_vcpu(t.vm, 0);
    t.ram = vm_ram(t.vm);
    t.memory = (struct region){.name = "ram", .size = RAM_SIZE, .ram = t.ram};
    t.port = (struct region){.name = "port", .size = 4, .ops = &port_ops};
    host_mutex_lock(vm_lock(t.vm));
    assert_int_equal(space_map(vm_env(t.vm)->mem, 0, &t.memory, 0), 0);
    assert_int_equal(space_map(vm_env(t.vm)->io, PORT, &t.port, 0), 0);
    host_mutex_unlock(vm_lock(t.vm));
    program_memory(t.ram, false);
    program_state(&p, &t.state, &t.model);
    t.state.rip = CODE_AT;
    t.state.gpr[RDX] = PORT;
    t.state.gpr[RDI] = DATA_AT;
    t.state.gpr[RSP] = DATA_AT + 0x800;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    vm_destroy(t.vm);
    return 0;
}

static enum stop run(const void *code, size_t n)
{
    memcpy(t.ram + CODE_AT, code, n);
    engine_jit.wrote(t.vm, CODE_AT, n);
    engine_jit.set(t.v, &t.state, STATE_ALL);
    return engine_jit.run(t.v);
}
#define RUN(...)                                                               \
    run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static const struct x86_state *state(void)
{
    engine_jit.get(t.v, &t.state, STATE_ALL);
    return &t.state;
}

static uint64_t checked(void)
{
    return ((struct jit_cpu *)t.v->priv)->stats.checked;
}

static void differs(enum stop stop)
{
    assert_int_equal(t.spoiled, 1);
    assert_int_equal(stop, STOP_FAULT);
    assert_non_null(strstr(t.v->fault.text, "0x10000"));
}

/* --- what agrees --- */

static void devices_see_all_once(void **unused)
{
    (void)unused;
    /* in al, dx; in al, dx; out dx, eax; mov [rdi], eax; hlt */
    assert_int_equal(RUN(0xec, 0xec, 0xef, 0x89, 0x07, 0xf4), STOP_HALT);
    assert_int_equal(t.reads, 2);
    assert_int_equal(t.writes, 1);
    assert_int_equal(state()->gpr[RAX] & 0xff, 2);
    assert_int_equal(t.written, (uint32_t)state()->gpr[RAX]);
    assert_int_equal(load_le32(t.ram + DATA_AT), t.written);
    assert_true(checked());
}

static void time_is_the_same(void **unused)
{
    (void)unused;
    /* rdtsc; mov [rdi], eax; rdtsc; mov [rdi+4], eax; hlt */
    assert_int_equal(
        RUN(0x0f, 0x31, 0x89, 0x07, 0x0f, 0x31, 0x89, 0x47, 4, 0xf4),
        STOP_HALT);
    assert_int_equal(load_le32(t.ram + DATA_AT + 4),
                     (uint32_t)state()->gpr[RAX]);
}

static void code_that_changes_itself(void **unused)
{
    (void)unused;
    /* inc byte [rip + 1]; mov eax, 5; hlt */
    assert_int_equal(RUN(0xfe, 0x05, 1, 0, 0, 0, 0xb8, 5, 0, 0, 0, 0xf4),
                     STOP_HALT);
    assert_int_equal(state()->gpr[RAX], 6);
    assert_true(checked() >= 2);
}

static void faults(void **unused)
{
    (void)unused;
    /* inc dword [rdi]; mov eax, [DATA_HOLE]: to the handler's HLT */
    assert_int_equal(RUN(0xff, 0x07, 0x8b, 0x04, 0x25, DATA_HOLE & 0xff,
                         DATA_HOLE >> 8 & 0xff, DATA_HOLE >> 16, 0, 0xf4),
                     STOP_HALT);
    assert_int_equal(state()->rip, STUBS_AT + 14 * 16 + 1);
    assert_int_equal(state()->cr2, DATA_HOLE);
}

static void a_loop_and_a_stack(void **unused)
{
    (void)unused;
    /* mov ecx, 200; 1: push rcx; add eax, ecx; pop rbx; dec ecx; jnz 1b; hlt */
    assert_int_equal(RUN(0x31, 0xc0, 0xb9, 200, 0, 0, 0, 0x51, 0x01, 0xc8, 0x5b,
                         0xff, 0xc9, 0x75, 0xf8, 0xf4),
                     STOP_HALT);
    assert_int_equal(state()->gpr[RAX], 200 * 201 / 2);
    assert_true(checked() >= 200 / UNROLL_INSNS);
}

/* --- accesses that share a check --- */

static void page_fault_at(uint64_t a)
{
    assert_int_equal(state()->rip, STUBS_AT + 14 * 16 + 1);
    assert_int_equal(state()->cr2, a);
}

/* A table looked up by bytes, at an offset from DATA_AT: the loop is unrolled.
 */
static void look_up(unsigned table)
{
    uint32_t sum = 0;

    for (unsigned n = 0; n < 256; n++)
        t.ram[DATA_AT + 0x3000 + n] = (uint8_t)(n * 37);
    for (unsigned n = 0; n < 200; n++)
        sum += load_le32(t.ram + DATA_AT + table +
                         4 * t.ram[DATA_AT + 0x3000 + n]);
    t.state.gpr[RSI] = DATA_AT + 0x3000;
    t.state.gpr[RDI] = DATA_AT + table;
    t.state.gpr[RCX] = 200;
    /* xor ebx, ebx; 1: movzx eax, byte [rsi]; add ebx, [rdi + rax * 4];
       inc rsi; dec ecx; jnz 1b; hlt */
    assert_int_equal(RUN(0x31, 0xdb, 0x0f, 0xb6, 0x06, 0x03, 0x1c, 0x87, 0x48,
                         0xff, 0xc6, 0xff, 0xc9, 0x75, 0xf3, 0xf4),
                     STOP_HALT);
    assert_int_equal((uint32_t)state()->gpr[RBX], sum);
}

static void a_table(void **unused)
{
    (void)unused;
    look_up(0);
}

static void a_table_over_a_page_end(void **unused)
{
    (void)unused;
    look_up(0xe02);
}

/* The index is a byte, and then it is not: by a part of it, and unnamed. */
static void an_index_that_grew(void **unused)
{
    (void)unused;
    t.ram[DATA_AT] = 0x10;
    /* movzx eax, byte [rdi]; mov ah, 0x7f; mov ebx, [rdi + rax * 4];
       mov edx, [rdi + rax * 4 + 4]; hlt */
    assert_int_equal(RUN(0x0f, 0xb6, 0x07, 0xb4, 0x7f, 0x8b, 0x1c, 0x87, 0x8b,
                         0x54, 0x87, 4, 0xf4),
                     STOP_HALT);
    page_fault_at(DATA_AT + 4 * 0x7f10);
}

static void an_index_that_enter_made(void **unused)
{
    (void)unused;
    /* movzx ebp, al; enter 0, 0; mov ebx, [rdi + rbp * 4];
       mov edx, [rdi + rbp * 4 + 4]; hlt */
    assert_int_equal(RUN(0x0f, 0xb6, 0xe8, 0xc8, 0, 0, 0, 0x8b, 0x1c, 0xaf,
                         0x8b, 0x54, 0xaf, 4, 0xf4),
                     STOP_HALT);
    page_fault_at(DATA_AT + 4 * (DATA_AT + 0x800 - 8));
}

/* Displacements that are further apart than 2 GB. */
static void far_apart(void **unused)
{
    (void)unused;
    t.state.gpr[RBX] = DATA_AT - 0x70000000ull;
    /* mov eax, [rbx + 0x70000000]; mov eax, [rbx - 0x70000000]; hlt */
    assert_int_equal(
        RUN(0x8b, 0x83, 0, 0, 0, 0x70, 0x8b, 0x83, 0, 0, 0, 0x90, 0xf4),
        STOP_HALT);
    page_fault_at(DATA_AT - 0xe0000000ull);
}

/* Six pushes and five pops; the stack's page changes between them. */
static void a_row_over_a_page_end(void **unused)
{
    (void)unused;
    for (unsigned n = 0; n < 7; n++) {
        t.state.gpr[RSP] = DATA_AT + 0x1000 + 8 * n;
        t.state.gpr[RAX] = 0x1234;
        /* push 1; push 2; push rax; push 4; push 5; push 6; pop rbx; pop rcx;
           pop rdx; pop rsi; pop rbp; hlt */
        assert_int_equal(RUN(0x6a, 1, 0x6a, 2, 0x50, 0x6a, 4, 0x6a, 5, 0x6a, 6,
                             0x5b, 0x59, 0x5a, 0x5e, 0x5d, 0xf4),
                         STOP_HALT);
        assert_int_equal(state()->gpr[RSP], DATA_AT + 0x1000 + 8 * n - 8);
        assert_int_equal(state()->gpr[RBX], 6);
        assert_int_equal(state()->gpr[RSI], 0x1234);
        assert_int_equal(state()->gpr[RBP], 2);
        t.state.rip = CODE_AT;
        t.state.activity = 0;
    }
}

/* The stack's page is not written any more once there is code on it. */
static void code_on_the_stacks_page(void **unused)
{
    (void)unused;
    t.ram[DATA_AT + 0x100] = 0xb8; /* mov eax, 5; ret */
    store_le32(t.ram + DATA_AT + 0x101, 5);
    t.ram[DATA_AT + 0x105] = 0xc3;
    /* push rdi; lea rsi, [rdi + 0x100]; call rsi; mov ebx, eax;
       lea rsp, [rdi + 0x109]; push 7 (over the 5); lea rsp, [rdi + 0x800];
       call rsi; hlt */
    assert_int_equal(RUN(0x57, 0x48, 0x8d, 0xb7, 0, 1, 0, 0, 0xff, 0xd6, 0x89,
                         0xc3, 0x48, 0x8d, 0xa7, 9, 1, 0, 0, 0x6a, 7, 0xc6,
                         0x87, 5, 1, 0, 0, 0xc3, 0x48, 0x8d, 0xa7, 0, 8, 0, 0,
                         0xff, 0xd6, 0xf4),
                     STOP_HALT);
    assert_int_equal(state()->gpr[RBX], 5);
    assert_int_equal((uint32_t)state()->gpr[RAX], 7);
}

/* --- vectors that are the guest's still --- */

/* What clears tables may use them: they go home before. */
static void vectors_go_home(void **unused)
{
    struct jit_cpu *j = t.v->priv;

    (void)unused;
    assert_int_equal(RUN(0xf4), STOP_HALT);
    jit_near(j)->fp_live = FP_VECTOR;
    jit_cold(j, CODE_AT, CODE_AT);
    assert_int_equal(jit_near(j)->fp_live, FP_VECTOR);
    block_flush(&j->ic);
    jit_cold(j, CODE_AT, CODE_AT);
    assert_int_equal(jit_near(j)->fp_live, 0);
    jit_near(j)->fp_live = FP_VECTOR;
    jit_flush_world(j);
    assert_int_equal(jit_near(j)->fp_live, 0);
}

/* --- AH to BH, which cannot be named beside the addresses of ours --- */

static void high_bytes(void **unused)
{
    (void)unused;
    store_le32(t.ram + DATA_AT, 0x44332211);
    store_le32(t.ram + DATA_AT + 4, 0x88776655);
    t.state.gpr[RAX] = DATA_AT;
    t.state.gpr[RBX] = DATA_AT;
    t.state.gpr[RCX] = 0;
    /* mov ch, [rdi + 2]; add ch, [rdi + 3]; mov bh, [rbx + 1]; mov [rdi], bh;
       mov ah, [rax + 4]; xchg [rdi + 5], ah; adc [rdi + 6], ch; hlt */
    assert_int_equal(RUN(0x8a, 0x6f, 2, 0x02, 0x6f, 3, 0x8a, 0x7b, 1, 0x88,
                         0x3f, 0x8a, 0x60, 4, 0x86, 0x67, 5, 0x10, 0x6f, 6,
                         0xf4),
                     STOP_HALT);
    assert_int_equal(state()->gpr[RCX], 0x7700);
    assert_int_equal(state()->gpr[RBX], (DATA_AT & ~0xff00) | 0x2200);
    assert_int_equal(state()->gpr[RAX], (DATA_AT & ~0xff00) | 0x6600);
    assert_int_equal(load_le32(t.ram + DATA_AT), 0x44332222);
    assert_int_equal(load_le32(t.ram + DATA_AT + 4), 0x88ee5555);
    assert_int_equal(((struct jit_cpu *)t.v->priv)->stats.bodies, 1);
}

/* --- jumps that are followed --- */

/* The second jump is met when what it goes to has run. */
static void jumps(void **unused)
{
    (void)unused;
    t.state.gpr[RBX] = 0;
    /* mov ecx, 3; xor eax, eax; 1: inc eax; dec ecx; jz 3f; cmp ecx, 1; je 2f;
       jmp 1b; 2: add ebx, 5; jmp 1b; 3: hlt */
    assert_int_equal(RUN(0xb9, 3, 0, 0, 0, 0x31, 0xc0, 0xff, 0xc0, 0xff, 0xc9,
                         0x74, 12, 0x83, 0xf9, 1, 0x74, 2, 0xeb, 0xf3, 0x83,
                         0xc3, 5, 0xeb, 0xee, 0xf4),
                     STOP_HALT);
    assert_int_equal(state()->gpr[RAX], 3);
    assert_int_equal(state()->gpr[RBX], 5);
}

/* Accesses before and after it share a check, unless they lie too far apart. */
static void a_jump_in_a_group(void **unused)
{
    struct x86_state start = t.state;

    (void)unused;
    for (unsigned at = 0; at < 0x1000; at += 0xff8) {
        t.state = start;
        t.state.gpr[RDI] = DATA_AT + at;
        store_le32(t.ram + DATA_AT + at, 5);
        store_le32(t.ram + DATA_AT + at + 4, 7);
        /* mov ecx, 3; 1: mov eax, [rdi]; jmp 2f; 3: dec ecx; jnz 1b; hlt;
           2: add eax, [rdi + 4]; mov [rdi + 8], eax; jmp 3b */
        assert_int_equal(RUN(0xb9, 3, 0, 0, 0, 0x8b, 0x07, 0xeb, 5, 0xff, 0xc9,
                             0x75, 0xf8, 0xf4, 0x03, 0x47, 4, 0x89, 0x47, 8,
                             0xeb, 0xf3),
                         STOP_HALT);
        assert_int_equal((uint32_t)state()->gpr[RAX], 12);
        assert_int_equal(load_le32(t.ram + DATA_AT + at + 8), 12);
    }
}

/* --- code that is not in RAM --- */

/* A page that is somewhere else, and the CPU in it. */
static void map_elsewhere(void)
{
    t.other.name = "other";
    t.other.size = 0x1000;
    host_mutex_lock(vm_lock(t.vm));
    assert_int_equal(space_map(vm_env(t.vm)->mem, ELSEWHERE, &t.other, 0), 0);
    host_mutex_unlock(vm_lock(t.vm));
    store_le64(t.ram + TABLES + 0x3000 + (ELSEWHERE >> 12) * 8, ELSEWHERE | 7);
    t.state.rip = ELSEWHERE;
    t.state.gpr[RCX] = 200;
    engine_jit.set(t.v, &t.state, STATE_ALL);
}

/* mov eax, 5; mov byte [ELSEWHERE + 1], 7; dec ecx; jnz; hlt */
static const uint8_t overwriting[] = {0xb8, 5,    0,    0,    0,    0xc6,
                                      0x04, 0x25, 1,    0,    4,    0,
                                      7,    0xff, 0xc9, 0x75, 0xef, 0xf4};

static void code_in_rom(void **unused)
{
    static uint8_t rom[0x1000];

    (void)unused;
    memcpy(rom, overwriting, sizeof overwriting);
    t.other.ram = rom;
    t.other.readonly = true;
    map_elsewhere();
    assert_int_equal(engine_jit.run(t.v), STOP_HALT);
    assert_int_equal(state()->gpr[RAX], 5);
    assert_int_equal(rom[1], 5);
    assert_true(checked() >= 200 / UNROLL_INSNS);
}

static uint64_t code_read(void *dev, uint64_t off, unsigned bytes)
{
    (void)dev;
    (void)bytes;
    return off < sizeof overwriting ? overwriting[off] : 0xf4;
}

static void code_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    (void)dev;
    (void)off;
    (void)v;
    (void)bytes;
    t.writes++;
}

static void code_in_a_device(void **unused)
{
    static const struct region_ops ops = {code_read, code_write, 1, 1};

    (void)unused;
    t.other.ops = &ops;
    map_elsewhere();
    assert_int_equal(engine_jit.run(t.v), STOP_HALT);
    assert_int_equal(state()->gpr[RAX], 5);
    assert_int_equal(t.writes, 200);
}

/* --- what does not agree --- */

static void a_register(void **unused)
{
    (void)unused;
    t.spoil = true;
    /* mov ecx, MARK; hlt */
    differs(RUN(0xb9, 0x44, 0x33, 0x22, 0x11, 0xf4));
}

static void memory(void **unused)
{
    (void)unused;
    t.spoil = true;
    /* mov dword [rdi], MARK; hlt */
    differs(RUN(0xc7, 0x07, 0x44, 0x33, 0x22, 0x11, 0xf4));
}

static void what_a_device_is_told(void **unused)
{
    (void)unused;
    t.spoil = true;
    /* mov eax, MARK; out dx, eax; hlt */
    differs(RUN(0xb8, 0x44, 0x33, 0x22, 0x11, 0xef, 0xf4));
    assert_int_equal(t.writes, 1);
}

static void where_it_goes(void **unused)
{
    (void)unused;
    t.spoil = true;
    /* cmp dword [rdi], MARK; jne +1; hlt; hlt, with MARK there */
    store_le32(t.ram + DATA_AT, MARK);
    differs(RUN(0x81, 0x3f, 0x44, 0x33, 0x22, 0x11, 0x75, 1, 0xf4, 0xf4));
}

/* A flag that is read two blocks on, by code that the jit has not seen. */
static void a_flag(void **unused)
{
    (void)unused;
    t.spoil = true;
    store_le32(t.ram + DATA_AT, MARK + 1);
    store_le64(t.ram + DATA_AT + 0x800, CODE_AT + 0x100);
    t.ram[CODE_AT + 0x100] = 0x9c; /* pushfq; hlt */
    t.ram[CODE_AT + 0x101] = 0xf4;
    /* sub dword [rdi], MARK; mov dword [rdi], 0; ret */
    RUN(0x81, 0x3f, 0x44, 0x33, 0x22, 0x11, 0xc7, 0x07, 0, 0, 0, 0, 0xc3);
    assert_true(t.spoiled);
    assert_non_null(strstr(t.v->fault.text, "0x10100"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(devices_see_all_once),
        TEST(time_is_the_same),
        TEST(code_that_changes_itself),
        TEST(faults),
        TEST(a_loop_and_a_stack),
        TEST(a_table),
        TEST(a_table_over_a_page_end),
        TEST(an_index_that_grew),
        TEST(an_index_that_enter_made),
        TEST(far_apart),
        TEST(a_row_over_a_page_end),
        TEST(code_on_the_stacks_page),
        TEST(vectors_go_home),
        TEST(high_bytes),
        TEST(jumps),
        TEST(a_jump_in_a_group),
        TEST(code_in_rom),
        TEST(code_in_a_device),
        TEST(a_register),
        TEST(memory),
        TEST(what_a_device_is_told),
        TEST(where_it_goes),
        TEST(a_flag),
    };
    struct engine_caps caps;

    if (engine_jit.probe(&caps))
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
