/* Product of matrices in single precision, vectorised for AVX2 and FMA. */
#include "work.h"

#define N 256

static float a[N][N], b[N][N], c[N][N];

__attribute__((target("avx2,fma"), optimize("O3"))) static void product(void)
{
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++)
                c[i][j] += a[i][k] * b[k][j];
}

int main(void)
{
    uint32_t s = 13;
    uint64_t sum = 0;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (float)(rnd(&s) % 16);
            b[i][j] = (float)(rnd(&s) % 16);
        }
    for (int round = 0; round < 60; round++)
        product();
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum = sum * 31 + (uint64_t)c[i][j];
    return result(sum);
}
