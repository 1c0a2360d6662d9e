/* fork() and wait: "fork N", or with a program, fork() and exec: "fork N
 * PROGRAM". */
#include <sys/wait.h>
#include <unistd.h>

#include "work.h"

int main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], 0, 0) : 0;
    uint64_t sum = 0;

    for (long i = 0; i < n; i++) {
        int status;
        pid_t pid = fork();

        if (pid < 0)
            die("fork");
        if (!pid) {
            if (argc > 2)
                execl(argv[2], argv[2], (char *)0);
            _exit(argc > 2 ? 127 : (int)(i & 63));
        }
        if (waitpid(pid, &status, 0) != pid)
            die("waitpid");
        sum = sum * 31 + (uint64_t)status;
    }
    return result(sum);
}
