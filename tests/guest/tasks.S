/* What runs in other tasks. Flat DS and 32-bit code, whatever the base of CS
   and the size of the stack: only relative jumps and absolute data. */
#include "guest.h"
#include "tasks.h"

    .text
    .code32
/* Notes what the switch brought, then leaves: by IRET, or with JMP. */
    .globl task_body, task_left
task_body:
    mov %eax, seen + SEEN_AX
    mov %ecx, seen + SEEN_CX
    mov %edx, seen + SEEN_DX
    mov %ebx, seen + SEEN_BX
    mov %esp, seen + SEEN_SP
    mov %ebp, seen + SEEN_BP
    mov %esi, seen + SEEN_SI
    mov %edi, seen + SEEN_DI
    mov %es, seen + SEEN_ES
    mov %cs, seen + SEEN_CS
    mov %ss, seen + SEEN_SS
    mov %ds, seen + SEEN_DS
    mov %fs, seen + SEEN_FS
    mov %gs, seen + SEEN_GS
    pushfl
    popl seen + SEEN_FLAGS
    mov %cr0, %eax
    mov %eax, seen + SEEN_CR0
    mov %dr7, %eax
    mov %eax, seen + SEEN_DR7
    str %eax
    mov %eax, seen + SEEN_TR
    sldt %eax
    mov %eax, seen + SEEN_LDT
    mov gdt + MAIN_TSS + 5, %al
    mov %al, seen + SEEN_MAIN
    mov gdt + TASK_TSS + 5, %al
    mov %al, seen + SEEN_TASK
    incl seen + SEEN_COUNT
    cmpl $0, leave_by_jmp
    jne 1f
    iret
task_left:
    jmp task_body
1:  ljmp $MAIN_TSS, $0

/* Calls the other task, then leaves. */
    .globl nesting_body
nesting_body:
    lcall $TASK_TSS, $0
    mov %eax, seen + SEEN_NEST
    iret

/* Handlers that are tasks: the error code is on the stack. */
    .macro fault_task n
    .globl fault_task_\n
fault_task_\n:
    .if \n == 1
    push $0
    .endif
    push $\n
    call fault_in_task
    .endm
    fault_task 8
    fault_task 10
    fault_task 11
    fault_task 12
    fault_task 13

/* Ways into a task: void (void *). The far pointer is in `to`. */
    .globl go_jmp, go_call, go_int, go_iret, go_nothing
go_jmp:
    ljmp *to
    ret
go_call:
    lcall *to
    ret
go_int:
    int $0x90
    ret
go_iret:
    pushfl
    orl $0x4000, (%esp)
    popfl
    iret
    ret

/* #GP, for which there is no gate. */
    .globl go_double, double_at
go_double:
    mov $0x1000, %eax
double_at:
    mov %ax, %fs
    ret

/* Virtual-8086 code, to be copied below 1 MB. */
    .code16
    .globl vm86_body, vm86_after_int, vm86_hlt, vm86_end
vm86_body:
    mov $0x1234, %ax
    int $0x91
vm86_after_int:
    inc %ax
vm86_hlt:
    hlt
vm86_end:
    .section .note.GNU-stack, "", @progbits
