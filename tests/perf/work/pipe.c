/* Two processes hand a number to and fro: two context switches a turn. */
#include <sys/wait.h>
#include <unistd.h>

#include "work.h"

#define TURNS 30000

static void echo(int in, int out)
{
    uint32_t v;

    while (read(in, &v, sizeof v) == sizeof v) {
        v = v * 3 + 1;
        if (write(out, &v, sizeof v) != sizeof v)
            _exit(1);
    }
    _exit(0);
}

int main(void)
{
    int there[2], back[2], status;
    uint32_t v = 1;

    if (pipe(there) || pipe(back))
        die("pipe");

    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (!pid) {
        close(there[1]);
        echo(there[0], back[1]);
    }
    for (int n = 0; n < TURNS; n++)
        if (write(there[1], &v, sizeof v) != sizeof v ||
            read(back[0], &v, sizeof v) != sizeof v)
            die("pipe");
    close(there[1]);
    waitpid(pid, &status, 0);
    return result(v + (uint64_t)status);
}
