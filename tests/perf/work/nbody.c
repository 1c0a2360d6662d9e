/* Planets: scalar double arithmetic, square roots and divisions. */
#include <math.h>

#include "work.h"

#define N 5

static double x[N][3] = {{0, 0, 0},
                         {4.8, -1.2, -0.1},
                         {8.3, 4.1, -0.4},
                         {12.9, -15.1, -0.2},
                         {15.4, -25.9, 0.2}};
static double v[N][3] = {{0, 0, 0},
                         {0.6, 2.8, -0.02},
                         {-1.0, 1.8, 0.01},
                         {1.1, 0.9, -0.01},
                         {1.0, 0.6, -0.03}};
static const double m[N] = {39.5, 0.038, 0.011, 0.0017, 0.002};

static void step(double dt)
{
    for (int i = 0; i < N; i++)
        for (int j = i + 1; j < N; j++) {
            double d[3], r2 = 0;

            for (int c = 0; c < 3; c++) {
                d[c] = x[i][c] - x[j][c];
                r2 += d[c] * d[c];
            }

            double mag = dt / (r2 * sqrt(r2));

            for (int c = 0; c < 3; c++) {
                v[i][c] -= d[c] * m[j] * mag;
                v[j][c] += d[c] * m[i] * mag;
            }
        }
    for (int i = 0; i < N; i++)
        for (int c = 0; c < 3; c++)
            x[i][c] += dt * v[i][c];
}

int main(void)
{
    for (int n = 0; n < 1500000; n++)
        step(0.001);
    return result((uint64_t)(int64_t)(x[1][0] * 1e9) ^
                  (uint64_t)(int64_t)(x[4][1] * 1e9));
}
