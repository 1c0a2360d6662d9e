/*
 * The little BIOS (machine/bios/bios.asm), called by real-mode code that the
 * interpreter runs.
 */
#include "tests/unit/pc_testlib.h"

#include "engine/interp/interp.h"
#include "machine/bios.h"

enum { RAM = 40 << 20, TABLE = 0x30000, ENTRY = 0x26c };

/*
 * Fetches the memory map to 3000:0 and asks for the other sizes; then port
 * 0xf4 gets 1, or 2 when a call failed that must not, or the other way.
 */
static const uint8_t code[] = {
    /* clang-format off */
    0x66, 0x31, 0xdb, /* xor ebx,ebx */
    0x68, 0x00, 0x30, /* push word 0x3000 */
    0x07, /* pop es */
    0x31, 0xff, /* xor di,di */
    0x66, 0xb8, 0x20, 0xe8, 0x00, 0x00, /* mov eax,0xe820 */
    0x66, 0xb9, 0x14, 0x00, 0x00, 0x00, /* mov ecx,20 */
    0x66, 0xba, 0x50, 0x41, 0x4d, 0x53, /* mov edx,0x534d4150 */
    0xcd, 0x15, /* int 15h */
    0x72, 0x51, /* jc fail */
    0x66, 0x3d, 0x50, 0x41, 0x4d, 0x53, /* cmp eax,0x534d4150 */
    0x75, 0x49, /* jne fail */
    0x83, 0xc7, 0x14, /* add di,20 */
    0x66, 0x85, 0xdb, /* test ebx,ebx */
    0x75, 0xda, /* jnz .l */
    0x26, 0x89, 0x3e, 0xf0, 0x0f, /* mov [es:0xff0],di */
    0xb4, 0x88, /* mov ah,0x88 */
    0xcd, 0x15, /* int 15h */
    0x72, 0x36, /* jc fail */
    0x26, 0xa3, 0xf2, 0x0f, /* mov [es:0xff2],ax */
    0xb8, 0x01, 0xe8, /* mov ax,0xe801 */
    0xcd, 0x15, /* int 15h */
    0x72, 0x2b, /* jc fail */
    0x26, 0xa3, 0xf4, 0x0f, /* mov [es:0xff4],ax */
    0x26, 0x89, 0x1e, 0xf6, 0x0f, /* mov [es:0xff6],bx */
    0xcd, 0x12, /* int 12h */
    0x26, 0xa3, 0xf8, 0x0f, /* mov [es:0xff8],ax */
    0xb8, 0x02, 0x24, /* mov ax,0x2402 */
    0xcd, 0x15, /* int 15h */
    0x72, 0x15, /* jc fail */
    0x26, 0xa3, 0xfa, 0x0f, /* mov [es:0xffa],ax */
    0xf8, /* clc */
    0xb4, 0xc0, /* mov ah,0xc0 */
    0xcd, 0x15, /* int 15h */
    0x73, 0x0a, /* jnc fail */
    0xb4, 0x01, /* mov ah,1 */
    0xcd, 0x16, /* int 16h */
    0x75, 0x04, /* jnz fail */
    0xb0, 0x01, /* mov al,1 */
    0xe6, 0xf4, /* out 0xf4,al */
    0xb0, 0x02, /* mov al,2 */
    0xe6, 0xf4, /* out 0xf4,al */
    0xf4, /* hlt */
    0xeb, 0xfd, /* jmp .s */
    /* clang-format on */
};

static uint64_t at(struct machine *m, unsigned off, unsigned bytes)
{
    return load_le(m->env->ram + TABLE + off, bytes);
}

static void calls(void **state)
{
    static const struct test_bzimage t = {.version = 0x203, .low = true};
    static uint8_t image[1 << 16];
    struct pc_config c = {.debug_exit = true, .entry = BOOT_16};
    struct vm_outcome o;
    struct machine m;
    struct e820 map;
    struct err e;

    (void)state;
    c.kernel = (struct boot_bytes){image, make_bzimage(&t, image), "zImage"};
    memcpy(image + ENTRY, code, sizeof code);
    make_vm(&m, &engine_interp, 1, RAM, true);
    if (pc_create(m.vm, &c, &m.pc, &e) || vm_start(m.vm, &e))
        fail_msg("%s", e.text);
    vm_wait(m.vm, 20 * NS_PER_SEC, &o);
    assert_int_equal(o.end, VM_END_DEBUG_EXIT);
    assert_int_equal(o.value, 1);

    e820_pc(&map, RAM);
    assert_int_equal(at(&m, 0xff0, 2), map.n * E820_WIRE_SIZE);
    for (unsigned i = 0; i < map.n; i++) {
        assert_int_equal(at(&m, i * E820_WIRE_SIZE, 8), map.e[i].base);
        assert_int_equal(at(&m, i * E820_WIRE_SIZE + 8, 8), map.e[i].len);
        assert_int_equal(at(&m, i * E820_WIRE_SIZE + 16, 4), map.e[i].type);
    }
    assert_int_equal(at(&m, 0xff2, 2), 39 * 1024); /* 88h: KB above 1 MB */
    assert_int_equal(at(&m, 0xff4, 2), 15 * 1024); /* E801h: up to 16 MB */
    assert_int_equal(at(&m, 0xff6, 2), 24 * 16);   /* 64 KB from there on */
    assert_int_equal(at(&m, 0xff8, 2), 639);       /* INT 12h */
    assert_int_equal(at(&m, 0xffa, 2), 1);         /* 2402h: A20 is on */
    vm_destroy(m.vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(calls)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
