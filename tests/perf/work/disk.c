/* A disk past the guest's page cache; natively a file through the host's.
 *   disk read    all of it from front to back, 256 KB at a time
 *   disk random  4 KB here and there
 *   disk write   from front to back, 256 KB at a time; then read some back
 * The disk has two halves of HALF bytes: the first is read, the second written.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "work.h"

#define HALF  (256u << 20)
#define CHUNK (256u << 10)

static uint8_t *buffer;
static int fd;

static uint64_t read_at(off_t at, size_t len)
{
    uint64_t v;

    if (pread(fd, buffer, len, at) != (ssize_t)len)
        die("pread");
    memcpy(&v, buffer + (at / 4096 * 8) % len, 8);
    return v;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "read";
    uint64_t sum = 0;
    uint32_t s = 29;

    fd = open("/dev/vdb", O_RDWR | O_DIRECT);
    if (fd < 0)
        fd = open("/bench/disk.img", O_RDWR);
    if (fd < 0 || posix_memalign((void **)&buffer, 4096, CHUNK))
        die("open");
    if (!strcmp(how, "random")) {
        for (int n = 0; n < 10000; n++)
            sum = sum * 31 + read_at(rnd(&s) % (HALF / 4096) * 4096L, 4096);
    } else if (!strcmp(how, "read")) {
        for (off_t at = 0; at < HALF; at += CHUNK)
            sum = sum * 31 + read_at(at, CHUNK);
    } else {
        for (off_t at = 0; at < HALF; at += CHUNK) {
            memset(buffer, (int)(at / CHUNK), CHUNK);
            if (pwrite(fd, buffer, CHUNK, HALF + at) != (ssize_t)CHUNK)
                die("pwrite");
        }
        for (off_t at = 0; at < HALF; at += 16 * CHUNK)
            sum = sum * 31 + read_at(HALF + at, CHUNK);
    }
    return result(sum);
}
