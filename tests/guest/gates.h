/* Between gates.c and gates.S. */
#ifndef GATES_H
#define GATES_H

/* Selectors in the GDT. */
#define INNER_CODE 0x60 /* DPL 0, base inner_base */
#define USER_CODE  0x6b /* DPL 3, the same base */
#define USER_STACK 0x73 /* DPL 3, 4 KB */
#define CONFORMING 0x78 /* DPL 0, the same base */
#define RING1_CODE 0x81
#define RING1_DATA 0x89
#define GATE       0x93
#define BAD        0x98 /* what a row makes of it */
#define SHORT_CODE 0xa0 /* DPL 0, limit 15 */
#define CONF_DPL3  0xab /* conforming, DPL 3 */

#define USER_TOP 0xf80 /* of the stack, an offset */

/* Offsets in `seen`. */
#define SEEN_CS    0
#define SEEN_SS    4
#define SEEN_SP    8
#define SEEN_FLAGS 12
#define SEEN_COUNT 16
#define SEEN_WORDS 32 /* 48 bytes of the stack */

#endif
