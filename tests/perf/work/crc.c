/* CRC-32 by table, a byte at a time. */
#include "work.h"

int main(void)
{
    static uint32_t table[256];
    static uint8_t data[1 << 16];
    uint32_t s = 3, crc = ~0u;

    for (uint32_t n = 0; n < 256; n++) {
        uint32_t c = n;

        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        table[n] = c;
    }
    for (size_t n = 0; n < sizeof data; n++)
        data[n] = (uint8_t)rnd(&s);
    for (int round = 0; round < 700; round++)
        for (size_t n = 0; n < sizeof data; n++)
            crc = crc >> 8 ^ table[(crc ^ data[n]) & 255];
    return result(crc);
}
