#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/mman.h> /* MAP_HUGE_2MB */

#include "base/bits.h"
#include "lodge/host.h"

enum { HUGE_PAGE = HOST_HUGE_PAGE, HEAP_ALIGN = 64 };

static size_t page_up(size_t n)
{
    return (size_t)align_up(n, (uint64_t)sysconf(_SC_PAGESIZE));
}

/* Large areas start on a huge page, so that the host can use such. */
static void *map_aligned(size_t n, size_t align)
{
    uint8_t *p, *start;
    size_t head;

    if (n > SIZE_MAX - align)
        return NULL;
    p = mmap(NULL, n + align, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    start = (uint8_t *)(uintptr_t)align_up((uintptr_t)p, align);
    head = (size_t)(start - p);
    if (head)
        munmap(p, head);
    if (align - head)
        munmap(start + n, align - head);
    return start;
}

/* What is large ends with a huge page, too. */
static size_t ram_size(size_t bytes)
{
    return bytes < HUGE_PAGE ? page_up(bytes)
                             : (size_t)align_up(bytes, HUGE_PAGE);
}

void *host_ram_alloc(size_t bytes)
{
    size_t n = ram_size(bytes);
    bool large = n >= HUGE_PAGE;
    void *p;

    if (!bytes || n < bytes)
        return NULL;
    p = map_aligned(n, large ? HUGE_PAGE : (size_t)sysconf(_SC_PAGESIZE));
    if (!p)
        return NULL;
    /* Advice only: a host that does not take it still works. */
    if (large)
        madvise(p, n, MADV_HUGEPAGE);
    madvise(p, n, MADV_DONTDUMP);
    return p;
}

void *host_ram_alloc_huge(size_t bytes)
{
    void *p;

    if (!bytes || bytes % HUGE_PAGE)
        return NULL;
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, bytes, MADV_DONTDUMP);
    return p;
}

void host_ram_free(void *p, size_t bytes)
{
    if (p)
        munmap(p, ram_size(bytes));
}

uint64_t host_ram_total(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void *host_alloc(size_t bytes)
{
    size_t n = (size_t)align_up(bytes ? bytes : 1, HEAP_ALIGN);
    void *p;

    if (n < bytes)
        return NULL;
    p = aligned_alloc(HEAP_ALIGN, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void host_free(void *p)
{
    free(p);
}

/* Newer hosts want to be told that a memory file may hold code. */
static int code_fd(void)
{
    const unsigned exec = 0x10; /* MFD_EXEC */
    int fd = memfd_create("lodge-code", MFD_CLOEXEC | exec);

    return fd >= 0 ? fd : memfd_create("lodge-code", MFD_CLOEXEC);
}

int host_code_alloc(struct host_code *code, size_t len)
{
    size_t n = page_up(len);
    void *rw = MAP_FAILED, *rx = MAP_FAILED;
    int fd;

    *code = (struct host_code){0};
    if (!len || n < len)
        return -LE_NOMEM;
    fd = code_fd();
    if (fd < 0)
        return -LE_NOMEM;
    if (ftruncate(fd, (off_t)n) == 0) {
        rw = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        rx = mmap(NULL, n, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    close(fd);
    if (rw == MAP_FAILED || rx == MAP_FAILED) {
        if (rw != MAP_FAILED)
            munmap(rw, n);
        if (rx != MAP_FAILED)
            munmap(rx, n);
        return -LE_NOMEM;
    }
    *code = (struct host_code){rw, rx, n};
    return 0;
}

void host_code_free(struct host_code *code)
{
    if (!code->rw)
        return;
    munmap(code->rw, code->len);
    munmap((void *)(uintptr_t)code->rx, code->len);
    *code = (struct host_code){0};
}
