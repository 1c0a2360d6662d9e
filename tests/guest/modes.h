/* Between modes.c and modes.S. */
#ifndef MODES_H
#define MODES_H

/* Selectors in the GDT. */
#define LOW_CODE 0x60 /* 16-bit, base LOW, 64 KB */
#define LOW_DATA 0x68 /* 16-bit, base SHARED, 64 KB */
#define BAD      0x70 /* what a row makes of it */
#define FLAT     0x78 /* data, 4 GB, for unreal mode */

/* Below 1 MB. */
#define STACK  0x5ff0 /* top */
#define SHARED 0x6000
#define LOW    0x7000 /* the 16-bit code */

/* In SHARED. */
#define SH_MAGIC 0x10
#define SH_A     0x20
#define SH_B     0x30

#define FINISH 0x80 /* the interrupt that ends a piece of code */

#endif
