/*
 * The kernel loaders. The first byte chooses how (low three bits: the entry;
 * bit 3: an initrd; bit 4: no long mode; bit 5: never unpack; bit 6: a long
 * command line), the rest is the kernel. Whatever it is, it loads into RAM
 * that the map has, or fails with a sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "machine/boot.h"

enum { RAM_SIZE = 48 << 20 };

struct fuzz_ram {
    struct e820 map;
    uint8_t *ram;
};

static int span(void *ctx, gpa_t a, size_t n, struct span *out)
{
    struct fuzz_ram *m = ctx;

    if (!n || a >= RAM_SIZE || n > RAM_SIZE - a || !e820_is_ram(&m->map, a, n))
        abort(); /* a loader wrote where it must not */
    *out = (struct span){m->ram + a, n};
    return 0;
}

static void run(struct fuzz_ram *m, const uint8_t *data, size_t size)
{
    static const uint8_t initrd[5000] = "initrd";
    static const uint8_t seed[BOOT_SEED_SIZE] = "seed";
    static char text[5000];
    struct boot_ram ram = {.span = span, .ctx = m};
    struct boot_request q = {
        .kernel = {data + 1, size - 1, "kernel"},
        .entry = (data[0] & 7) % (BOOT_PVH + 1),
        .map = &m->map,
        .rsdp = 0xe0000,
        .long_mode = !(data[0] & 16),
        .self_unpack = data[0] & 32,
        .seed = seed,
    };
    struct x86_state s = {0};
    struct boot_image out;
    struct err e = {0};

    if (data[0] & 8)
        q.initrd = (struct boot_bytes){initrd, sizeof initrd, "initrd"};
    memset(text, 'x', sizeof text - 1);
    q.cmdline = data[0] & 64 ? text : "quiet";
    if (boot_load(&q, &ram, &out, &e)) {
        if (!e.code || !e.text[0])
            abort();
        return;
    }
    if (boot_state(&out, &s) || !out.how)
        abort();
    if (out.mode != BOOT_MODE_REAL && !e820_is_ram(&m->map, s.rip, 1))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_ram m;

    if (!m.ram) {
        m.ram = calloc(1, RAM_SIZE);
        e820_pc(&m.map, RAM_SIZE);
    }
    if (m.ram && size > 1)
        run(&m, data, size);
    return 0;
}
