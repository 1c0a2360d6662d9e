#include "hw/storage/floppy.h"

#include "base/bits.h"

#define R250 BIT(FLOPPY_250)
#define R300 BIT(FLOPPY_300)
#define R500 BIT(FLOPPY_500)
#define R1M  BIT(FLOPPY_1000)

/* By size. 5¼ inches turn faster in a drive for 1.2 MB: 300 kb/s there. */
static const struct floppy_format formats[] = {
    {40, 1, 8, R250 | R300, 1}, /* 160 KB */
    {40, 1, 9, R250 | R300, 1}, /* 180 KB */
    {40, 2, 8, R250 | R300, 1}, /* 320 KB */
    {40, 2, 9, R250 | R300, 1}, /* 360 KB */
    {80, 2, 8, R250, 4},        /* 640 KB */
    {80, 2, 9, R250, 4},        /* 720 KB */
    {80, 2, 10, R250, 4},       /* 800 KB */
    {82, 2, 10, R250, 4},       /* 820 KB */
    {80, 2, 15, R500, 2},       /* 1.2 MB */
    {80, 2, 18, R500, 4},       /* 1.44 MB */
    {80, 2, 20, R500, 4},       /* 1.6 MB */
    {80, 2, 21, R500, 4},       /* 1.68 MB, DMF */
    {82, 2, 21, R500, 4},       /* 1.72 MB, XDF-like */
    {83, 2, 21, R500, 4},       /* 1.74 MB */
    {80, 2, 22, R500, 4},       /* 1.76 MB */
    {80, 2, 23, R500, 4},       /* 1.84 MB */
    {80, 2, 24, R500, 4},       /* 1.92 MB */
    {80, 2, 36, R1M, 5},        /* 2.88 MB */
    {80, 2, 39, R1M, 5},        /* 3.12 MB */
    {80, 2, 48, R1M, 5},        /* 3.84 MB */
};

const struct floppy_format *floppy_format(uint64_t bytes)
{
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        const struct floppy_format *f = &formats[i];

        if (bytes <=
            (uint64_t)f->cylinders * f->heads * f->sectors * FLOPPY_SECTOR)
            return f;
    }
    return NULL;
}
