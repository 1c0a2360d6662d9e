/* AES rounds by AES-NI. */
#include <wmmintrin.h>

#include "work.h"

__attribute__((target("aes,sse4.1"))) static uint64_t run(void)
{
    __m128i key = _mm_set_epi32(1, 2, 3, 4), x[4];

    for (int n = 0; n < 4; n++)
        x[n] = _mm_set1_epi32(n);
    for (int n = 0; n < 3000000; n++) {
        for (int r = 0; r < 10; r++)
            for (int i = 0; i < 4; i++)
                x[i] = _mm_aesenc_si128(x[i], key);
        key = _mm_xor_si128(key, x[n & 3]);
    }

    __m128i all =
        _mm_xor_si128(_mm_xor_si128(x[0], x[1]), _mm_xor_si128(x[2], x[3]));

    return (uint64_t)_mm_cvtsi128_si64(all);
}

int main(void)
{
    return result(run());
}
