/* Code on both sides of gates: 32-bit, in segments with base inner_base, so
   that 16 bits are enough for an offset. Data by flat addresses. */
#include "guest.h"
#include "gates.h"

    .text
    .code32
    .balign 16
    .globl inner_base
inner_base:
    .skip 64

/* Notes where it is and what is on its stack. */
    .macro note
    mov %cs, seen + SEEN_CS
    mov %ss, seen + SEEN_SS
    mov %esp, seen + SEEN_SP
    pushfl
    popl seen + SEEN_FLAGS
    incl seen + SEEN_COUNT
    .set i, 0
    .rept 12
    mov %ss:i(%esp), %eax
    mov %eax, seen + SEEN_WORDS + i
    .set i, i + 4
    .endr
    .endm

    .globl inner_ret, inner_ret8, inner_retw, inner_retw4
inner_ret:
    note
    lret
inner_ret8:
    note
    lret $8
inner_retw:
    note
    lretw
inner_retw4:
    note
    lretw $4
    .globl inner_iret, inner_iretw
inner_iret:
    note
    iret
inner_iretw:
    note
    iretw

/* At CPL 3; DS is flat. */
    .globl user_call, user_after_call, user_jmp, user_int, user_after_int
    .globl user_ud, user_segments
user_call:
    push $0x44444444
    push $0x33333333
    lcall *to
user_after_call:
    mov %esp, sp_after
    int $0x80
    .globl user_callw, user_after_callw
user_callw:
    pushw $0x4444
    pushw $0x3333
    lcall *to
user_after_callw:
    mov %esp, sp_after
    int $0x80
user_jmp:
    ljmp *to
user_int:
    int $0x92
user_after_int:
    mov %esp, sp_after
    int $0x80
user_ud:
    ud2
user_segments:
    mov %ds, %eax
    mov %es, %ebx
    mov %fs, %ecx
    mov %gs, %edx
    int $0x80

/* Ring 1, then on to ring 3. */
    .globl ring1
ring1:
    mov %cs, seen + SEEN_CS
    mov %ss, seen + SEEN_SS
    push $USER_STACK
    push $USER_TOP
    push $USER_CODE
    push $(user_after_call - inner_base)
    lret

/* Kernel side: void (void *). */
    .globl go_call, go_jmp, go_int, go_ud
go_call:
    lcall *to
    ret
go_jmp:
    ljmp *to
go_int:
    int $0x92
    ret
go_ud:
    ud2

/* Returns through a frame: ip, cs, flags, sp, ss in `frame`. */
    .globl go_iret, go_lret
go_iret:
    mov $USER_DATA, %eax
    mov %eax, %ds
    pushl frame + 16
    pushl frame + 12
    pushl frame + 8
    pushl frame + 4
    pushl frame
    iret
go_lret:
    mov $USER_DATA, %eax
    mov %eax, %ds
    pushl frame + 16
    pushl frame + 12
    pushl frame + 4
    pushl frame
    lret

/* Enters CPL 3 at offset *(arg); data segments flat, CPL 3's. */
    .globl go_user
go_user:
    mov 4(%esp), %eax
    mov $USER_DATA, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    push $USER_STACK
    push $USER_TOP
    push $2
    push $USER_CODE
    push %eax
    iret

/* To CPL 3 by IRET with all sorts of data segments. */
    .globl go_segments
go_segments:
    mov $DATA32, %eax
    mov %eax, %ds
    mov $USER_DATA, %eax
    mov %eax, %es
    mov $CONFORMING, %eax
    mov %eax, %fs
    mov $RING1_DATA, %eax
    mov %eax, %gs
    push $USER_STACK
    push $USER_TOP
    push $2
    push $USER_CODE
    push $(user_segments - inner_base)
    iret
    .section .note.GNU-stack, "", @progbits
