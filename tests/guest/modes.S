/* The ways between modes, and the pieces of code that run in them. */
#include "guest.h"
#include "modes.h"

    .text
    .code32
/* void go_prot16(offset), go_vm86(offset, flags): from guard(), till a trap */
    .globl go_prot16, go_vm86
go_prot16:
    mov 4(%esp), %edx
    mov $DATA16, %eax
    mov %ax, %ss
    mov $STACK, %esp
    mov $LOW_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    pushl $2
    popfl
    pushl $LOW_CODE
    pushl %edx
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    lret
go_vm86:
    mov 4(%esp), %edx
    mov 8(%esp), %eax
    pushl $0
    pushl $0
    pushl $(SHARED >> 4)
    pushl $(SHARED >> 4)
    pushl $0
    pushl $STACK
    pushl %eax
    pushl $(LOW >> 4)
    pushl %edx
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    iret

/* void go_real(offset, unreal): comes back by itself */
    .globl go_real
go_real:
    pusha
    mov 36(%esp), %edx
    mov 40(%esp), %ecx
    mov %esp, real_esp
    lidt real_idt
    mov $DATA16, %eax
    test %ecx, %ecx
    jz 1f
    mov $FLAT, %eax
1:  mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    ljmp $LOW_CODE, $(to_real - low_start)
    .globl from_real
from_real:
    mov $DATA32, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov real_esp, %esp
    lidt idt_table
    popa
    ret

/*
 * uint32_t go_long(code, kind): protected mode, compatibility mode, if kind is
 * 64 or 16 on to such code, and all the way back. The code ends with RET,
 * LRET for 16 bits.
 */
    .globl go_long
go_long:
    push %ebx
    push %esi
    push %edi
    push %ebp
    mov 20(%esp), %edi
    mov 24(%esp), %esi
    lidt no_idt
    mov %cr4, %eax
    or $0x20, %eax
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0              /* compatibility mode from here on */
    xor %eax, %eax
    cmp $64, %esi
    je 2f
    cmp $16, %esi
    je 3f
    call *%edi
    jmp 4f
2:  ljmp $CODE64, $in64
3:  sub $low_start, %edi
    pushl $CODE32
    pushl $long_back
    pushl $LOW_CODE
    pushl %edi
    lret
4:
long_back:
    mov %eax, %ebx
    mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0              /* and out of it */
    mov $0xc0000080, %ecx
    rdmsr
    and $~0x100, %eax
    wrmsr
    mov %cr4, %eax
    and $~0x20, %eax
    mov %eax, %cr4
    lidt idt_table
    mov $DATA32, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov %ebx, %eax
    pop %ebp
    pop %edi
    pop %esi
    pop %ebx
    ret
    .code64
in64:
    mov %edi, %edi
    call *%rdi
    mov $back32, %edx
    ljmp *(%rdx)
    .code32

/* --- 64-bit code: returns a value in eax --- */
    .code64
    .globl l_cs, l_push, l_zero, l_rex, l_r15, l_ds, l_fs, l_fs_msr, l_rip
    .globl l_lma, l_pushf, l_movsxd, l_cmov, l_pop_seg
l_cs:
    mov %cs, %eax
    ret
l_push:
    mov %rsp, %rax
    push %rbx
    sub %rsp, %rax
    pop %rbx
    ret
l_zero:                         /* 32-bit results clear the upper half */
    mov $-1, %rax
    mov $7, %eax
    mov %rax, %rcx
    shr $32, %rcx
    add %ecx, %eax
    ret
l_rex:
    mov $5, %eax
    .byte 0x40                  /* INC EAX elsewhere */
    nop
    ret
l_r15:
    mov $0x12345678, %r15d
    mov %r15d, %eax
    ret
l_ds:                           /* a base that is not used */
    mov $BAD, %eax
    mov %eax, %ds
    mov SHARED + SH_MAGIC, %eax
    ret
l_fs:
    mov $BAD, %eax
    mov %eax, %fs
    mov %fs:SH_MAGIC, %eax
    ret
l_fs_msr:
    mov $0xc0000100, %ecx
    mov $(SHARED - 0x100), %eax
    xor %edx, %edx
    wrmsr
    mov %fs:0x100 + SH_MAGIC, %eax
    ret
l_rip:
    mov 1f(%rip), %eax
    ret
1:  .long 0xcafe
l_lma:
    mov $0xc0000080, %ecx
    rdmsr
    ret
l_pushf:
    mov %rsp, %rax
    pushfq
    sub %rsp, %rax
    popfq
    ret
l_movsxd:                       /* ARPL elsewhere */
    mov $-2, %ecx
    movslq %ecx, %rax
    shr $32, %rax
    ret
l_cmov:                         /* not moved, but cleared above */
    mov $-1, %rax
    cmp %eax, %eax
    cmovne %ecx, %eax
    shr $32, %rax
    ret
    .code32

/* --- in compatibility mode --- */
    .globl c_cs, c_push, c_inc, c_lma, c_fs, c_wrap
c_cs:
    mov %cs, %eax
    ret
c_push:
    mov %esp, %eax
    push %ebx
    sub %esp, %eax
    pop %ebx
    ret
c_inc:
    mov $5, %eax
    .byte 0x40
    nop
    ret
c_lma:
    mov $0xc0000080, %ecx
    rdmsr
    ret
c_fs:                           /* here the base counts */
    mov $BAD, %eax
    mov %eax, %fs
    mov %fs:SH_MAGIC, %eax
    ret
c_wrap:                         /* base + offset beyond 4 GB */
    mov $BAD, %eax
    mov %eax, %fs
    mov $(SH_MAGIC + 0x20), %ebx
    mov %fs:-0x20(%ebx), %eax
    ret

/* --- 16-bit code, copied to LOW --- */
    .code16
    .globl low_start, low_end, finish_at
low_start:
    .word 0x1234
/* Still in 16-bit protected mode: edx is where to go. */
to_real:
    mov %cr0, %eax
    and $~1, %al
    mov %eax, %cr0
    ljmp $(LOW >> 4), $(in_real - low_start)
in_real:
    test %ecx, %ecx
    jnz 1f                      /* unreal: what was loaded stays */
    xor %ax, %ax
    mov %ax, %ss
    mov $(SHARED >> 4), %ax
    mov %ax, %ds
    mov %ax, %es
    jmp 2f
1:  xor %ax, %ax
    mov %ax, %ss
    mov %ax, %ds
    mov %ax, %es
2:  mov $STACK, %esp
    xor %eax, %eax
    mov %eax, %ebx
    mov %eax, %ecx
    mov %eax, %esi
    mov %eax, %edi
    mov %eax, %ebp
    push %ax
    popf
    jmp *%dx

/* The interrupt vector table leads here: vector n to 4 * n. */
    .globl real_stubs
    .balign 4
real_stubs:
    .rept 256
    call real_trap
    nop
    .endr
real_trap:
    cli
    mov %eax, %cs:(real_ax - low_start)
    pop %ax
    sub $(real_stubs - low_start + 3), %ax
    shr $2, %ax
    mov %ax, %cs:(real_vector - low_start)
    pop %ax
    mov %ax, %cs:(real_ip - low_start)
    xor %ax, %ax
    mov %ax, %ds
    lgdtl %cs:(low_gdt - low_start)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $CODE32, $from_real
    .globl real_ax, real_vector, real_ip
    .balign 4
real_ax:
    .long 0
real_vector:
    .word 0
real_ip:
    .word 0
low_gdt:
    .word GDT_ENTRIES * 8 - 1
    .long gdt

finish:
finish_at:
    int $FINISH

    .macro piece name
    .globl \name
\name:
    .endm

piece s_word_end
    mov 0xffff, %ax
    jmp finish
piece s_byte_end
    mov 0xffff, %al
    mov $1, %ax
    jmp finish
piece s_dword_end
    mov 0xfffd, %eax
    jmp finish
piece s_addr32
    mov $0x10000, %ebx
    mov (%ebx), %al
    jmp finish
piece s_stack_end
    mov $0xffff, %bp
    mov (%bp), %ax
    jmp finish
piece s_wrap                    /* 16-bit addresses wrap */
    mov $0xffff, %bx
    mov (SH_MAGIC + 1)(%bx), %ax
    jmp finish
piece s_sp_wrap
    mov %sp, %bp
    xor %sp, %sp
    push %ax
    mov %sp, %ax
    mov %bp, %sp
    jmp finish
piece s_esp_high                /* the upper half of ESP stays */
    mov %esp, %ebp
    or $0x12340000, %esp
    push %ax
    mov %esp, %eax
    shr $16, %eax
    mov %ebp, %esp
    jmp finish
piece s_push
    mov %sp, %ax
    push %bx
    sub %sp, %ax
    pop %bx
    jmp finish
piece s_pushl
    mov %sp, %ax
    pushl %ebx
    sub %sp, %ax
    popl %ebx
    jmp finish
piece s_call
    mov %sp, %ax
    call 1f
1:  sub %sp, %ax
    pop %bx
    jmp finish
piece s_pushf
    pushf
    pop %ax
    and $0x3000, %ax
    jmp finish
piece s_popf_iopl
    mov $0x3002, %ax
    push %ax
    popf
    pushf
    pop %ax
    and $0x3000, %ax
    jmp finish
piece s_pushfl
    pushfl
    pop %ax
    pop %ax
    jmp finish
piece s_int40
    mov $0x203, %ax
    push %ax
    popf
    int $0x40
    jmp finish
piece s_int3
    int3
    jmp finish
piece s_into
    mov $0x7f, %al
    add $1, %al
    into
    jmp finish
piece s_bound
    movl $0x00080004, SH_A
    mov $9, %ax
    bound %ax, SH_A
    jmp finish
piece s_bound_in
    movl $0x00080004, SH_A
    mov $8, %ax
    bound %ax, SH_A
    jmp finish
piece s_div
    div %bx
    jmp finish
piece s_ud
    ud2
piece s_lock
    .byte 0xf0
    nop
    jmp finish
piece s_long
    .fill 15, 1, 0x66
    nop
    jmp finish
piece s_lldt
    lldt %ax
    jmp finish
piece s_str
    str %ax
    jmp finish
piece s_verr
    mov %ds, %ax
    verr %ax
    setz %al
    mov $0, %ah
    jmp finish
piece s_arpl
    mov $3, %bx
    arpl %bx, %ax
    jmp finish
piece s_mov_cr0
    mov %cr0, %eax
    and $1, %ax
    jmp finish
piece s_smsw
    smsw %ax
    and $1, %ax
    jmp finish
piece s_lgdt                    /* of 16 bits: 24 bits of the base */
    sgdtl SH_A
    movl $0x123400ff, SH_B
    movw $0xab56, SH_B + 4
    lgdt SH_B
    sgdtl SH_B
    lgdtl SH_A
    mov SH_B + 4, %ax
    jmp finish
piece s_cs_write
    movb $1, %cs:(scratch - low_start)
    mov $1, %ax
    jmp finish
scratch:
    .byte 0
piece s_cs_read
    mov %cs:0, %ax
    jmp finish
piece s_segment
    mov $((LOW >> 4) - 1), %ax
    mov %ax, %es
    mov %es:0x10, %ax
    jmp finish
piece s_far_call
    lcall $(LOW >> 4), $(1f - low_start)
    jmp finish
1:  mov %cs, %ax
    lret
piece s_far_ret32
    pushl $(LOW >> 4)
    pushl $(1f - low_start)
    lretl
1:  mov %cs, %ax
    jmp finish
piece s_iret
    pushf
    push %cs
    push $(1f - low_start)
    iret
1:  mov $1, %ax
    jmp finish
piece s_iretl
    pushfl
    pushl $(LOW >> 4)
    pushl $(1f - low_start)
    iretl
1:  mov $1, %ax
    jmp finish
piece s_jmp_wrap                /* to IP ffe0 */
    mov $0x1111, %ax
    .byte 0xe9
    .word -0x20 - (1f - low_start)
1:
piece s_jmp_beyond              /* to IP 10000 */
    mov $0x10000, %ebx
    mov $0x2222, %ax
    jmpl *%ebx
piece s_popl_high
    mov $0x12345678, %ebx
    pushl %ebx
    pop %bx
    pop %ax
    jmp finish
piece s_cli
    cli
    mov $1, %ax
    jmp finish
piece s_sti
    sti
    mov $1, %ax
    jmp finish
piece s_in
    in $0x81, %al
    mov $1, %ax
    jmp finish
piece s_hlt
    hlt
    jmp finish
piece s_popf_if
    mov $0x202, %ax
    push %ax
    popf
    jmp finish
piece s_popf_tf
    mov $0x102, %ax
    push %ax
    popf
    jmp finish
piece s_popfl
    pushl $2
    popfl
    jmp finish
piece s_pushf_if
    pushf
    pop %ax
    and $0x3200, %ax
    jmp finish
piece s_sti_pushf
    sti
    pushf
    pop %ax
    and $0x3200, %ax
    jmp finish
piece s_iret_if
    push $0x202
    push %cs
    push $(1f - low_start)
    iret
1:  jmp finish

/* Real mode only. */
piece r_idt_limit               /* INT 40h is not in a table of 64 vectors */
    movw $0xff, SH_A
    movl $0, SH_A + 2
    lidt SH_A
    int $0x40
    jmp finish
piece r_idt_moved               /* the table with INT 40h is elsewhere */
    movw $0x3ff, SH_A
    movl $(SHARED + 0x100 - 0x100), SH_A + 2
    movw $(real_int40 - low_start), 0x100
    movw $(LOW >> 4), 0x102
    lidt SH_A
    mov $0x203, %ax
    push %ax
    popf
    int $0x40
    movl $0, SH_A + 2
    lidt SH_A
    jmp finish
piece r_a20_off
    mov $0xffff, %ax
    mov %ax, %es
    in $0x92, %al               /* either of two gates holds it */
    and $0xfc, %al
    out %al, $0x92
    mov $0xdd, %bl
    call set_output
    call same
    mov %ax, %cx
    mov $0xdf, %bl
    call set_output
    in $0x92, %al
    or $2, %al
    out %al, $0x92
    mov %cx, %ax
    jmp finish
piece r_a20_on
    mov $0xffff, %ax
    mov %ax, %es
    call same
    jmp finish
set_output:                     /* the keyboard controller's port */
    mov $0xd1, %al
    out %al, $0x64
    mov %bl, %al
    out %al, $0x60
    ret
same:                           /* is ES:10h the same as 0? */
    xor %ax, %ax
    mov %ax, %fs
    mov %es:0x10, %eax
    cmp %fs:0, %eax
    setz %al
    xor %ah, %ah
    ret

/* Unreal mode: DS base 0, limit 4 GB. */
piece u_read
    mov $0x100000, %ebx
    mov (%ebx), %ax
    jmp finish
piece u_reload
    mov $(SHARED >> 4), %ax
    mov %ax, %ds
    mov $(0x100000 - SHARED), %ebx
    mov (%ebx), %ax
    jmp finish
piece u_stack                   /* SS.B: ESP counts */
    mov $0x15ff0, %esp
    push %ax
    mov %esp, %eax
    shr $16, %eax
    jmp finish
piece u_esp_wrap
    mov $0x10000, %esp
    push %ax
    mov %esp, %eax
    mov $STACK, %esp
    jmp finish

/* INT 40h through the vector table. */
    .globl real_int40
real_int40:
    push %bp
    mov %sp, %bp
    pushf
    pop %ax
    and $0x201, %ax             /* IF is clear */
    mov 6(%bp), %bx
    and $0x201, %bx
    shl $4, %bx                 /* as pushed: 203 */
    or %bx, %ax
    pop %bp
    iret

/* 16-bit code in long mode. */
piece c16_push
    mov %sp, %ax
    push %bx
    sub %sp, %ax
    pop %bx
    lretl
piece c16_cs
    mov %cs, %ax
    lretl
low_end:

    .section .note.GNU-stack, "", @progbits
    .data
    .balign 8
real_esp:
    .long 0
real_idt:
    .word 0x3ff
    .long 0
no_idt:
    .word 0
    .long 0
back32:
    .long long_back
    .word CODE32
