/* Where an application processor starts: real mode, at 0x8000. */
#include "guest.h"
#ifdef __x86_64__
#define AT(x) ((x) - trampoline + 0x8000)
    .text
    .code16
    .globl trampoline, trampoline_end
trampoline:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl AT(table)
    mov $0x11, %eax             /* PE, ET */
    mov %eax, %cr0
    ljmpl $CODE32, $AT(in32)
    .code32
in32:
    mov $DATA32, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x20, %eax
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    mov $0x900, %eax
    xor %edx, %edx
    wrmsr
    mov $0x80010011, %eax
    mov %eax, %cr0
    ljmp $CODE64, $in64
table:
    .word GDT_ENTRIES * 8 - 1
    .long gdt
trampoline_end:
    .code64
in64:
    mov $1, %edi
    lock xadd %edi, ap_count
    inc %edi
    mov %edi, %eax
    inc %eax
    imul $16384, %eax, %eax
    lea ap_stacks(%rax), %rsp
    xor %ebp, %ebp
    call ap_start
#endif
    .section .note.GNU-stack, "", @progbits
