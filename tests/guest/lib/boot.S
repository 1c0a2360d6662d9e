/* Multiboot header and entry; the trap stubs; what C cannot say. */
#include "guest.h"

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 0x3, -(0x1badb002 + 0x3)

    .text
    .code32
    .globl _start
_start:
    cli
    cld
    mov $boot_stack_top, %esp
    lgdt gdt_table
    ljmp $CODE32, $1f
1:  mov $DATA32, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
#ifdef __x86_64__
    call make_pages
    mov %cr4, %eax
    or $0x20, %eax
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $0x900, %eax             /* LME, NXE */
    wrmsr
    mov %cr0, %eax
    or $0x80010000, %eax        /* PG, WP */
    mov %eax, %cr0
    ljmp $CODE64, $start64

/* The first 4 GB one to one, in pages of 2 MB that CPL 3 may use. */
make_pages:
    mov $pdpt, %eax
    or $7, %eax
    mov %eax, pml4
    mov $pd, %eax
    or $7, %eax
    mov $pdpt, %edi
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $4096, %eax
    add $8, %edi
    loop 1b
    mov $pd, %edi
    mov $0x87, %eax
    mov $2048, %ecx
2:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 2b
    ret

    .code64
start64:
    mov $boot_stack_top, %rsp
    call runtime_init
    call test_main
    call finish
#else
    call runtime_init
    call test_main
    call finish
#endif

    .altmacro
    .macro stub n
    .balign 16
    .if (\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17) || (\n == 21)
    .else
    push $0
    .endif
    .if \n < 128
    push $\n                    /* two bytes */
    .else
    push $\n
    .endif
    jmp common
    .endm

    .balign 16
    .globl stubs
stubs:
    .set n, 0
    .rept 256
    stub %n
    .set n, n + 1
    .endr

    .globl stub_of_zero
common:
#ifdef __x86_64__
    .irp r, rax, rbx, rcx, rdx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    push %\r
    .endr
    cld
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call trap
    mov %rbx, %rsp
    .irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rdx, rcx, rbx, rax
    pop %\r
    .endr
    add $16, %rsp
    iretq
#else
    pusha
    push %ds
    push %es
    push %fs
    push %gs
    mov $DATA32, %eax
    mov %eax, %ds
    mov %eax, %es
    cld
    mov %esp, %eax
    mov %esp, %ebx
    and $-16, %esp
    sub $12, %esp
    push %eax
    call trap
    mov %ebx, %esp
    pop %gs
    pop %fs
    pop %es
    pop %ds
    popa
    add $8, %esp
    iret
#endif

/* int guard(void (*fn)(void *), void *arg) */
    .globl guard, leave_guard
guard:
#ifdef __x86_64__
    .irp r, rbx, rbp, r12, r13, r14, r15
    push %\r
    .endr
    push guard_sp
    mov %rsp, guard_sp
    movl $-1, last
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
    mov $-1, %eax
1:  pop guard_sp
    .irp r, r15, r14, r13, r12, rbp, rbx
    pop %\r
    .endr
    cld
    ret
leave_guard:                    /* from trap(), on any stack */
    mov $DATA32, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov guard_sp, %rsp
    pushq $0
    popfq
    mov last, %eax
    jmp 1b

    .globl enter_user
enter_user:                     /* ip, sp, cs, flags */
    mov $USER_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    push $USER_DATA
    push %rsi
    push %rcx
    push %rdx
    push %rdi
    iretq
#else
    mov 4(%esp), %eax
    mov 8(%esp), %edx
    push %ebx
    push %ebp
    push %esi
    push %edi
    push guard_sp
    mov %esp, guard_sp
    movl $-1, last
    push %edx
    call *%eax
    mov $-1, %eax
1:  mov guard_sp, %esp
    pop guard_sp
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
    cld
    ret
leave_guard:
    mov $DATA32, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov guard_sp, %esp
    pushl $0
    popfl
    mov last, %eax
    jmp 1b

    .globl enter_user
enter_user:                     /* ip, sp, cs, flags */
    mov 4(%esp), %eax
    mov 8(%esp), %ebx
    mov 12(%esp), %ecx
    mov 16(%esp), %edx
    mov $USER_DATA, %esi
    mov %esi, %ds
    mov %esi, %es
    push $USER_DATA
    push %ebx
    push %edx
    push %ecx
    push %eax
    iret
#endif

    .section .note.GNU-stack, "", @progbits
    .data
    .globl guard_sp
    .balign 8
guard_sp:
    .quad 0
    .globl gdt, gdt_table
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 08 code32 */
    .quad 0x00cf93000000ffff    /* 10 data32 */
    .quad 0x00af9b000000ffff    /* 18 code64 */
    .quad 0x00cffb000000ffff    /* 20 user code32 */
    .quad 0x00cff3000000ffff    /* 28 user data */
    .quad 0x00affb000000ffff    /* 30 user code64 */
    .quad 0x00009b000000ffff    /* 38 code16 */
    .quad 0x000093000000ffff    /* 40 data16 */
    .fill GDT_ENTRIES - 9, 8, 0
gdt_table:
    .word GDT_ENTRIES * 8 - 1
#ifdef __x86_64__
    .quad gdt
#else
    .long gdt
#endif

    .bss
    .balign 4096
    .globl pml4, pdpt, pd
pml4:
    .skip 4096
pdpt:
    .skip 4096
pd: .skip 16384
    .skip 16384
boot_stack_top:
    .globl user_stack_top
    .skip 8192
user_stack_top:
    .skip 64
