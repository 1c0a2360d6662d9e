/* Floppy formats, by the size of the image. Pure. */
#ifndef HW_STORAGE_FLOPPY_H
#define HW_STORAGE_FLOPPY_H

#include "base/compiler.h"

enum { FLOPPY_SECTOR = 512 };

enum { /* data rates as CCR has them, kb/s; a bit each in .rates */
       FLOPPY_500,
       FLOPPY_300,
       FLOPPY_250,
       FLOPPY_1000,
};

struct floppy_format {
    uint8_t cylinders, heads, sectors;
    uint8_t rates; /* at which it can be read */
    uint8_t drive; /* the type of drive for it, as in CMOS: 1 to 5 */
};

enum { FLOPPY_DRIVE_144 = 4 };

/* The smallest format that holds that many bytes; NULL: there is none. */
const struct floppy_format *floppy_format(uint64_t bytes);

#endif
