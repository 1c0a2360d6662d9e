/* Writes text that compresses about as text does: text BYTES. */
#include "work.h"

int main(int argc, char **argv)
{
    long left = argc > 1 ? strtol(argv[1], 0, 0) : 0;
    uint32_t s = 11;

    while (left > 0) {
        /* Few words are frequent and many are rare; the word is spelt by its
         * number. */
        uint32_t word = rnd(&s) % (1u << (1 + rnd(&s) % 14)),
                 w = word * 0x9e3779b9u;
        int len = 2 + (int)(w % 8);

        for (int n = 0; n < len; n++) {
            putchar('a' + (int)(w >> 24) % 26);
            w = w * 1664525u + 1013904223u;
        }
        putchar(rnd(&s) % 12 ? ' ' : '\n');
        left -= len + 1;
    }
    return 0;
}
