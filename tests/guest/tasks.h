/* Between tasks.c and tasks.S. */
#ifndef TASKS_H
#define TASKS_H

/* Selectors in the GDT. */
#define MAIN_TSS    0x60
#define TASK_TSS    0x68
#define NEST_TSS    0x70
#define VM86_TSS    0x78
#define TASK_GATE   0x80
#define BAD_TSS     0x88 /* what a row makes of it */
#define TASK_LDT    0x90
#define CODE_LOW    0x98 /* 32-bit code at task_body & ~0xffff */
#define STACK_LOW   0xa0 /* 16-bit stack */
#define BAD_SEG     0xb0
#define FAULT_TSS   0xc0 /* + 8 * vector */

/* Offsets in `seen`. */
#define SEEN_AX    0
#define SEEN_CX    4
#define SEEN_DX    8
#define SEEN_BX    12
#define SEEN_SP    16
#define SEEN_BP    20
#define SEEN_SI    24
#define SEEN_DI    28
#define SEEN_ES    32
#define SEEN_CS    36
#define SEEN_SS    40
#define SEEN_DS    44
#define SEEN_FS    48
#define SEEN_GS    52
#define SEEN_FLAGS 56
#define SEEN_CR0   60
#define SEEN_DR7   64
#define SEEN_TR    68
#define SEEN_LDT   72
#define SEEN_MAIN  76 /* types of descriptors */
#define SEEN_TASK  80
#define SEEN_COUNT 84
#define SEEN_NEST  88

#endif
