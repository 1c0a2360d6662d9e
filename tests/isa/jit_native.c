#include "jit_native.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/endian.h"
#include "x86/cpu.h"
#include "x86/flags.h"

/* ---- the address space ---- */

static uint64_t entry_of(const uint8_t *ram, uint64_t a)
{
    return a < 512 << 12 ? load_le64(ram + TABLES + 0x3000 + (a >> 12) * 8) : 0;
}

static bool map_user_pages(int fd, const uint8_t *memory)
{
    for (uint64_t a = 0; a < 512 << 12; a += 0x1000) {
        uint64_t e = entry_of(memory, a);
        void *at = (void *)(uintptr_t)a;

        int may =
            PROT_READ | (e & 2 ? PROT_WRITE : 0) | (e >> 63 ? 0 : PROT_EXEC);

        if ((e & 5) == 5 &&
            mmap(at, 0x1000, may, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
                 (off_t)(e & 0xfffff000)) != at)
            return false;
    }
    return true;
}

/* A system call from the programs' pages is a signal. */
static bool stop_system_calls(void)
{
    enum { LAST = 2 * ALIAS, LOW = 8, HIGH = 12 }; /* of the RIP */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HIGH),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog all = {ARRAY_LEN(code), code};

    _Static_assert(offsetof(struct seccomp_data, instruction_pointer) == LOW,
                   "used in the filter");
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all);
}

uint8_t *native_memory(const uint8_t *memory, void (*elsewhere)(int signal))
{
    int fd = memfd_create("programs", 0);
    void *ram;

    if (fd < 0 || ftruncate(fd, RAM_SIZE) || !native_open(elsewhere) ||
        !map_user_pages(fd, memory))
        return NULL;
    ram =
        mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)0);
    close(fd);
    return ram != MAP_FAILED && stop_system_calls() ? ram : NULL;
}

/* ---- the exception, as the guest has it ---- */

/* The kernel says nothing of what the guest's tables say of an address. */
static uint32_t page_fault_error(const uint8_t *ram, const struct host_fault *f)
{
    return (f->error & ~1u) | (uint32_t)(entry_of(ram, f->address) & 1);
}

static bool is_software(const struct host_fault *f)
{
    return f->vector == EXC_GP && (f->error & 2); /* INT n: no gate for it */
}

static bool has_error(unsigned vector)
{
    return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) ||
           vector == EXC_AC;
}

/* Through its gate onto the stack of the IST, up to the handler's HLT. */
static void deliver(struct x86_state *s, uint8_t *ram,
                    const struct host_fault *f)
{
    const uint64_t cleared = FLAG_IF | FLAG_TF | FLAG_NT | FLAG_RF;
    bool soft = is_software(f);
    unsigned vector = soft ? f->error >> 3 : f->vector;
    uint64_t frame[] = {s->rip + (soft ? 2 : 0), s->seg[CS].sel,
                        s->rflags & (soft ? ~(uint64_t)FLAG_RF : ~0ull),
                        s->gpr[RSP], s->seg[SS].sel};
    uint64_t at = IST_TOP - sizeof frame;

    for (unsigned n = 0; n < ARRAY_LEN(frame); n++)
        store_le64(ram + at + n * 8, frame[n]);
    if (!soft && has_error(vector)) {
        at -= 8;
        store_le64(ram + at,
                   vector == EXC_PF ? page_fault_error(ram, f) : f->error);
    }
    if (!soft && vector == EXC_PF)
        s->cr2 = f->address;
    s->gpr[RSP] = at;
    s->rip = STUBS_AT + vector * 16 + 1;
    s->rflags &= ~cleared;
}

/* ---- running ---- */

static void load(struct host_state *h, const struct x86_state *s)
{
    memcpy(h->gpr, s->gpr, sizeof h->gpr);
    h->rip = s->rip;
    h->rflags = s->rflags;
    h->gs_base = s->seg[GS].base;
    h->fs_base = s->seg[FS].base;
    memcpy(h->fx, s->fxsave, 160);
    store_le32(h->fx + 24, s->mxcsr);
    store_le32(h->fx + 28, 0xffff);
    memcpy(h->k, s->k, sizeof h->k);
    memcpy(h->zmm, s->zmm, sizeof h->zmm);
}

static void store(struct x86_state *s, const struct host_state *h)
{
    memcpy(s->gpr, h->gpr, sizeof h->gpr);
    s->rip = h->rip;
    s->rflags = h->rflags;
    memcpy(s->fxsave, h->fx, 160);
    s->mxcsr = load_le32(h->fx + 24);
    memcpy(s->k, h->k, sizeof h->k);
    memcpy(s->zmm, h->zmm, sizeof h->zmm);
}

bool native_program(struct x86_state *s, uint8_t *ram, bool compat)
{
    static struct host_state h;
    struct host_fault f;

    load(&h, s);
    native_run_at(&h, &f, compat);
    store(s, &h);
    if (!f.happened || f.vector >= NATIVE_SYSCALL)
        return false;
    deliver(s, ram, &f);
    return true;
}
