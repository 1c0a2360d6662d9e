/* The Mandelbrot set: scalar double arithmetic and compares. */
#include "work.h"

int main(void)
{
    uint64_t sum = 0;

    for (int py = 0; py < 800; py++)
        for (int px = 0; px < 800; px++) {
            double cr = px / 320.0 - 2, ci = py / 400.0 - 1, r = 0, i = 0;
            int n = 0;

            for (; n < 200 && r * r + i * i < 4; n++) {
                double t = r * r - i * i + cr;

                i = 2 * r * i + ci;
                r = t;
            }
            sum = sum * 31 + (uint64_t)n;
        }
    return result(sum);
}
