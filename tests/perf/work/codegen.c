/* Code that writes code, as a just-in-time compiler does.
 *   codegen new    ever new functions through a buffer of 64 KB, each run
 *                  some times: a compiler's cold code
 *   codegen patch  one hot function whose constant keeps changing: an
 *                  inline cache */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "work.h"

#define BUFFER 65536
#define SLOT   256

typedef uint64_t fn(uint64_t);

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
    return p + 4;
}

/* A function of a dozen instructions with a loop, all from random numbers. */
static void generate(uint8_t *p, uint32_t *s)
{
    static const uint8_t ops[] = {0x05, 0x2d, 0x35}; /* add sub xor rax,imm */
    uint8_t *loop;

    *p++ = 0x48, *p++ = 0x89, *p++ = 0xf8; /* mov rax,rdi */
    *p++ = 0xb9, p = put32(p, 4);          /* mov ecx,4 */
    loop = p;
    for (int n = 0; n < 8; n++) {
        *p++ = 0x48, *p++ = ops[rnd(s) % 3], p = put32(p, *s >> 1);
        *p++ = 0x48, *p++ = 0xc1, *p++ = 0xc0; /* rol rax,n */
        *p++ = (uint8_t)(1 + *s % 63);
    }
    *p++ = 0xff, *p++ = 0xc9; /* dec ecx */
    *p++ = 0x75, p++;         /* jnz loop */
    p[-1] = (uint8_t)(loop - p);
    *p++ = 0xc3;
}

static uint64_t ever_new(uint8_t *code)
{
    uint32_t s = 19;
    uint64_t sum = 1;

    for (int n = 0; n < 60000; n++) {
        uint8_t *at = code + n * SLOT % BUFFER;

        generate(at, &s);
        for (int i = 0; i < 50; i++)
            sum = ((fn *)(uintptr_t)at)(sum);
    }
    return sum;
}

static uint64_t patch(uint8_t *code)
{
    uint32_t s = 23;
    uint64_t sum = 1;

    generate(code, &s);
    for (int n = 0; n < 60000; n++) {
        put32(code + 10, rnd(&s) >> 1); /* the loop's first constant */
        for (int i = 0; i < 50; i++)
            sum = ((fn *)(uintptr_t)code)(sum);
    }
    return sum;
}

int main(int argc, char **argv)
{
    uint8_t *code = mmap(0, BUFFER, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (code == MAP_FAILED)
        die("mmap");
    return result(argc > 1 && !strcmp(argv[1], "patch") ? patch(code)
                                                        : ever_new(code));
}
