/* ISA DMA against the 8237A datasheet: hw/timer/dma8237.c. */
#include "fake_env.h"

#include "hw/timer/dma8237.h"

static struct fake *f;
static struct dev *dma;
static uint8_t ram[0x40000];
static struct region ram_region;

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    memset(ram, 0, sizeof ram);
    ram_region = (struct region){.name = "RAM", .size = sizeof ram, .ram = ram};
    assert_int_equal(space_map(f->env.mem, 0, &ram_region, 0), 0);
    dma = fake_add(f, &dma8237_class);
    return 0;
}

static int teardown(void **state UNUSED)
{
    space_unmap(&ram_region);
    fake_free(f);
    return 0;
}

static void program(unsigned ch, uint8_t mode, uint8_t page, uint16_t address,
                    uint16_t count)
{
    static const uint8_t page_port[] = {0x87, 0x83, 0x81, 0x82,
                                        0x8f, 0x8b, 0x89, 0x8a};
    unsigned base = ch < 4 ? 0 : 0xc0, step = ch < 4 ? 1 : 2, n = ch & 3;

    outb(f, (uint16_t)(base + 12 * step), 0);
    outb(f, (uint16_t)(base + 11 * step), mode | (uint8_t)n);
    outb(f, (uint16_t)(base + 2 * n * step), (uint8_t)address);
    outb(f, (uint16_t)(base + 2 * n * step), address >> 8);
    outb(f, (uint16_t)(base + (2 * n + 1) * step), (uint8_t)count);
    outb(f, (uint16_t)(base + (2 * n + 1) * step), count >> 8);
    outb(f, page_port[ch], page);
    outb(f, (uint16_t)(base + 10 * step), (uint8_t)n);
    outb(f, 0xd4, 0x00); /* the cascade */
}

static uint16_t current(unsigned port)
{
    uint8_t low;

    outb(f, 0x0c, 0);
    low = inb(f, (uint16_t)port);
    return (uint16_t)(inb(f, (uint16_t)port) << 8 | low);
}

static void registers(void **state UNUSED)
{
    assert_int_equal(inb(f, 0x0f), 0xff); /* all masked */
    program(2, 0x44, 0x02, 0x1234, 0x5678);
    assert_int_equal(current(0x04), 0x1234);
    assert_int_equal(current(0x05), 0x5678);
    assert_int_equal(inb(f, 0x81), 0x02);
    assert_int_equal(inb(f, 0x0f), 0xfb);
    outb(f, 0x0f, 0x05);
    assert_int_equal(inb(f, 0x0f), 0xf5);
    outb(f, 0x0e, 0);
    assert_int_equal(inb(f, 0x0f), 0xf0);
    outb(f, 0x0d, 0);
    assert_int_equal(inb(f, 0x0f), 0xff);
    for (uint16_t p = 0x80; p < 0x90; p++) { /* as memory tests do */
        outb(f, p, (uint8_t)(p ^ 0x5a));
        assert_int_equal(inb(f, p), (p ^ 0x5a) & 0xff);
    }
    outb(f, 0xc0, 0x34); /* the second chip's, at even ports */
    outb(f, 0xc0, 0x12);
    outb(f, 0xd8, 0);
    assert_int_equal(inb(f, 0xc0), 0x34);
    assert_int_equal(inb(f, 0xc0), 0x12);
}

static void to_memory(void **state UNUSED)
{
    bool tc;

    program(2, 0x44, 0x01, 0x0100, 511);
    assert_int_equal(isa_dma_write(dma, 2, "abcd", 4, &tc), 4);
    assert_false(tc);
    assert_memory_equal(ram + 0x10100, "abcd", 4);
    assert_int_equal(current(0x04), 0x0104);
    assert_int_equal(current(0x05), 507);
    static const uint8_t block[1024] = {[0] = 1, [507] = 2, [508] = 3};

    assert_int_equal(isa_dma_write(dma, 2, block, 1024, &tc), 508);
    assert_true(tc);
    assert_int_equal(ram[0x10104], 1);
    assert_int_equal(ram[0x10104 + 507], 2);
    assert_int_equal(ram[0x10104 + 508], 0);
    assert_int_equal(inb(f, 0x08), 0x04); /* TC, cleared by reading */
    assert_int_equal(inb(f, 0x08), 0x00);
    assert_int_equal(inb(f, 0x0f) & 4, 4); /* masked now */
    assert_int_equal(isa_dma_write(dma, 2, block, 4, &tc), 0);
}

static void from_memory(void **state UNUSED)
{
    uint8_t buf[8] = {0};
    bool tc;

    memcpy(ram + 0x2fffe, "abXX", 2);
    memcpy(ram + 0x20000, "cd", 2);
    program(1, 0x48, 0x02, 0xfffe, 3); /* wraps inside its 64 KB */
    assert_int_equal(isa_dma_read(dma, 1, buf, 8, &tc), 4);
    assert_true(tc);
    assert_memory_equal(buf, "abcd", 4);
}

static void downwards_and_verify(void **state UNUSED)
{
    bool tc;

    program(3, 0x64, 0x00, 0x1003, 3);
    assert_int_equal(isa_dma_write(dma, 3, "abcd", 4, &tc), 4);
    assert_memory_equal(ram + 0x1000, "dcba", 4);
    program(3, 0x40, 0x00, 0x1000, 3); /* verify writes nothing */
    assert_int_equal(isa_dma_write(dma, 3, "xxxx", 4, &tc), 4);
    assert_true(tc);
    assert_memory_equal(ram + 0x1000, "dcba", 4);
}

static void auto_init(void **state UNUSED)
{
    bool tc;

    program(2, 0x54, 0x00, 0x2000, 3);
    isa_dma_write(dma, 2, "abcd", 4, &tc);
    assert_true(tc);
    assert_int_equal(current(0x04), 0x2000);
    assert_int_equal(current(0x05), 3);
    assert_int_equal(isa_dma_write(dma, 2, "ef", 2, &tc), 2);
    assert_memory_equal(ram + 0x2000, "efcd", 4);
}

static void words(void **state UNUSED)
{
    bool tc;

    program(5, 0x44, 0x03, 0x0080, 1); /* address and count in words */
    assert_int_equal(isa_dma_write(dma, 5, "abcdef", 6, &tc), 4);
    assert_true(tc);
    assert_memory_equal(ram + 0x20100, "abcd", 4); /* page bit 0 unused */
}

static void refusals(void **state UNUSED)
{
    uint8_t b[4];
    bool tc;

    program(2, 0x44, 0, 0, 3);
    assert_int_equal(isa_dma_read(dma, 2, b, 4, &tc), 0);  /* direction */
    assert_int_equal(isa_dma_write(dma, 4, b, 4, &tc), 0); /* cascade */
    assert_int_equal(isa_dma_write(dma, 77, b, 4, &tc), 0);
    outb(f, 0x08, 0x04); /* controller disabled */
    assert_int_equal(isa_dma_write(dma, 2, b, 4, &tc), 0);
    outb(f, 0x08, 0x00);
    outb(f, 0xd4, 0x04); /* channel 4 masked: the first chip is cut off */
    assert_int_equal(isa_dma_write(dma, 2, b, 4, &tc), 0);
    outb(f, 0xd4, 0x00);
    assert_int_equal(isa_dma_write(dma, 2, b, 4, &tc), 4);
    isa_dma_request(dma, 2, true);
    assert_int_equal(inb(f, 0x08) & 0xf0, 0x40);
    isa_dma_request(dma, 2, false);
    assert_int_equal(inb(f, 0x08) & 0xf0, 0);
}

static void clears(void **state UNUSED)
{
    bool tc;

    outb(f, 0x00, 0x11); /* half an address */
    outb(f, 0x0d, 0);    /* master clear: the low byte is next */
    outb(f, 0x00, 0x22);
    outb(f, 0x00, 0x33);
    assert_int_equal(current(0x00), 0x3322);
    assert_int_equal(inb(f, 0x0d), 0); /* temporary register */
    outb(f, 0x08, 0x04);
    outb(f, 0x0d, 0); /* and enabled */
    program(2, 0x44, 0, 0x100, 3);
    assert_int_equal(isa_dma_write(dma, 2, "abcd", 4, &tc), 4);
    assert_int_equal(inb(f, 0x0b), 0xff); /* write-only */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(registers), T(to_memory), T(from_memory), T(downwards_and_verify),
        T(auto_init), T(words),     T(refusals),    T(clears),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
