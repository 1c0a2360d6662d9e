#include "host_arena.h"

#include <string.h>
#include <sys/mman.h>

#include "base/endian.h"

extern const char native_exit[];

static bool map_pages(void)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *p = mmap((void *)(uintptr_t)ARENA, ARENA_SIZE, PROT_NONE,
                   flags | MAP_FIXED_NOREPLACE, -1, 0);

    if (p != (void *)(uintptr_t)ARENA)
        return false;
    return !mprotect((void *)(uintptr_t)DATA, DATA_SIZE,
                     PROT_READ | PROT_WRITE) &&
           !mprotect((void *)(uintptr_t)CODE, 0x2000,
                     PROT_READ | PROT_WRITE | PROT_EXEC);
}

bool arena_open(void)
{
    if (!native_open(NULL) || !map_pages())
        return false;
    memset((void *)(uintptr_t)CODE, 0xcc, 0x2000);
    memset((void *)(uintptr_t)FROZEN, 0, 0x1000);
    return !mprotect((void *)(uintptr_t)FROZEN, 0x1000, PROT_READ);
}

void arena_write_frozen(const uint8_t *from, unsigned at, unsigned n)
{
    mprotect((void *)(uintptr_t)FROZEN, 0x1000, PROT_READ | PROT_WRITE);
    memcpy((uint8_t *)(uintptr_t)FROZEN + at, from, n);
    mprotect((void *)(uintptr_t)FROZEN, 0x1000, PROT_READ);
}

/* A jump to native_exit that needs no register, through an aligned pointer:
   alignment may be checked. */
static void write_exit(uint8_t *to)
{
    uint8_t *pointer = (uint8_t *)(uintptr_t)EXIT_AT;

    to[0] = 0xff;
    to[1] = 0x25;
    store_le32(to + 2, (uint32_t)(pointer - (to + 6)));
    store_le64(pointer, (uint64_t)(uintptr_t)native_exit);
}

static void write_code(const uint8_t *code, unsigned len, bool compat)
{
    uint8_t *p = (uint8_t *)(uintptr_t)CODE_AT;

    memcpy(p, code, len);
    if (!compat) {
        write_exit(p + len);
        return;
    }
    p[len] = 0xea; /* JMP far, to 64-bit code */
    store_le32(p + len + 1, RETURN_AT);
    store_le16(p + len + 5, USER_CS);
    write_exit((uint8_t *)(uintptr_t)RETURN_AT);
}

void arena_run(struct host_state *s, struct host_fault *f, const uint8_t *code,
               unsigned len, bool compat)
{
    write_code(code, len, compat);
    s->rip = CODE_AT;
    native_run_at(s, f, compat);
    if (!f->happened)
        s->rip = CODE_AT + len;
    memset((uint8_t *)(uintptr_t)CODE_AT, 0xcc, 32);
}
