/* Runs workloads one after the other and says so, line by line:
 *
 *   BEGIN name
 *   END name
 *   SUM name STATUS MICROSECONDS CRC LENGTH
 *
 * with the CPU time it took and the checksum of what it wrote.
 *
 * Whoever listens stamps the lines as they come; a guest's clock is not
 * to be trusted. As a guest's init it speaks to COM1 itself,
 * past the kernel's drivers, so that a line costs the same everywhere:
 * it mounts the disk and powers off at the end. Otherwise
 *
 *   run ROOT NAME...               in this file tree, on standard output */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "work.h"

#define COM1  0x3f8
#define LIST  "/bench/list"
#define WORDS 16

static int is_init;

static void com1_put(char c)
{
    while (!(inb(COM1 + 5) & 0x20))
        ;
    outb((unsigned char)c, COM1);
}

static void say(const char *format, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    if (is_init) {
        for (const char *p = line; *p; p++)
            com1_put(*p);
    } else if (write(1, line, strlen(line)) < 0) {
        exit(1);
    }
}

static void need(int failed, const char *what)
{
    if (!failed)
        return;
    say("FATAL %s: %m\n", what);
    if (is_init)
        reboot(RB_POWER_OFF);
    exit(1);
}

/* --- one workload --- */

/* The command of this workload, in words; 0 when there is none. */
static int command(const char *name, char *line, size_t size, char **words)
{
    FILE *f = fopen(LIST, "r");
    int n = 0;

    need(!f, LIST);
    while (!n && fgets(line, (int)size, f)) {
        char *word = strtok(line, " \n");

        if (!word || strcmp(word, name))
            continue;
        strtok(0, " \n"); /* its group */
        while (n < WORDS - 1 && (word = strtok(0, " \n")))
            words[n++] = word;
    }
    fclose(f);
    words[n] = 0;
    return n;
}

static void child(char **words)
{
    static char *env[] = {
        "PATH=/usr/bin:/bin",        "HOME=/", "LC_ALL=C", "PYTHONHASHSEED=0",
        "PYTHONDONTWRITEBYTECODE=1", 0};
    int out = open("/tmp/out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open("/tmp/err", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (out < 0 || err < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(126);
    environ = env;
    execvp(words[0], words);
    _exit(127);
}

static long cpu_us(const struct rusage *u)
{
    return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000L +
           u->ru_utime.tv_usec + u->ru_stime.tv_usec;
}

static void summary(const char *name, int status, const struct rusage *used)
{
    FILE *f = fopen("/tmp/out", "r");
    uint32_t crc = ~0u;
    long length = 0;

    for (int c; f && (c = getc(f)) != EOF; length++) {
        crc ^= (uint32_t)c;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    if (f)
        fclose(f);
    say("SUM %s %d %ld %08x %ld\n", name, status, cpu_us(used), ~crc, length);
}

/* The first line of what a failed workload complained about. */
static void complaint(void)
{
    char line[160];
    FILE *f = fopen("/tmp/err", "r");

    if (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        say("SAID %s\n", line);
    }
    if (f)
        fclose(f);
}

static void workload(const char *name)
{
    char line[512], *words[WORDS];
    int status = 0;
    struct rusage used;
    pid_t pid;

    if (!command(name, line, sizeof line, words)) {
        say("FATAL no workload %s\n", name);
        return;
    }
    say("BEGIN %s\n", name);
    pid = fork();
    need(pid < 0, "fork");
    if (!pid)
        child(words);
    need(wait4(pid, &status, 0, &used) != pid, "waitpid");
    say("END %s\n", name);
    if (status)
        complaint();
    summary(name, status, &used);
}

/* --- as init --- */

static int read_file(const char *path, const struct stat *st, int type,
                     struct FTW *at)
{
    static char buffer[1 << 18];
    size_t len = strlen(path);
    int fd;

    (void)st;
    (void)at;
    if (type != FTW_F || (len > 2 && !strcmp(path + len - 2, ".a")))
        return 0;
    fd = open(path, O_RDONLY);
    while (fd >= 0 && read(fd, buffer, sizeof buffer) > 0)
        ;
    close(fd);
    return 0;
}

static void load_modules(void)
{
    char name[256], path[300];
    FILE *f = fopen("/modules/order", "r");

    need(!f, "/modules/order");
    while (fgets(name, sizeof name, f)) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof path, "/modules/%s", name);

        int fd = open(path, O_RDONLY | O_CLOEXEC);

        need(fd < 0 || syscall(SYS_finit_module, fd, "", 0), path);
        close(fd);
    }
    fclose(f);
}

static void mount_all(void)
{
    int fd;

    mkdir("/dev", 0755);
    mkdir("/root", 0755);
    need(mount("dev", "/dev", "devtmpfs", 0, 0), "/dev");
    fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 2)
        fd = dup(fd);
    load_modules();
    for (int n = 0; n < 500 && access("/dev/vda", F_OK); n++)
        usleep(10000);
    need(mount("/dev/vda", "/root", "ext4", MS_RDONLY, 0), "/dev/vda");
    need(mount("dev", "/root/dev", "devtmpfs", 0, 0), "/dev");
    need(mount("tmp", "/root/tmp", "tmpfs", 0, 0), "/tmp");
    need(mount("proc", "/root/proc", "proc", 0, 0), "/proc");
    need(mount("sys", "/root/sys", "sysfs", 0, 0), "/sys");
    need(chroot("/root") || chdir("/"), "chroot");
}

static int guest(void)
{
    /* The kernel hands "bench=a,b,c" of its command line to init. */
    char *names = getenv("bench");

    is_init = 1;
    if (ioperm(COM1, 8, 1))
        return 1;
    say("\nINIT\n");
    mount_all();
    /* Everything is in the page cache before a clock runs. */
    nftw("/usr", read_file, 16, FTW_PHYS);
    nftw("/bench", read_file, 16, FTW_PHYS);
    say("WARM\n");
    for (char *n; (n = strsep(&names, ","));)
        workload(n);
    say("DONE\n");
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}

/* --- natively --- */

static void enter(const char *root)
{
    cpu_set_t one;
    char tmp[4096];

    /* One CPU, as the guests have; and /tmp in memory if that is allowed. */
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    snprintf(tmp, sizeof tmp, "%s/tmp", root);
    if (!unshare(CLONE_NEWNS) && !mount(0, "/", 0, MS_REC | MS_PRIVATE, 0))
        mount("tmp", tmp, "tmpfs", 0, 0);
    need(chroot(root) || chdir("/"), root);
}

int main(int argc, char **argv)
{
    if (getpid() == 1 && argc < 3)
        return guest();
    if (argc < 3)
        return 2;
    enter(argv[1]);
    for (int n = 2; n < argc; n++)
        workload(argv[n]);
    say("DONE\n");
    return 0;
}
