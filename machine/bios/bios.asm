; The few BIOS calls that a kernel's real-mode set-up code makes when Lodge
; starts it without firmware: memory map and sizes, A20, "no such thing" for
; the rest. It is at F000:F000 to F000:FFFF; machine/bios.c fills the record at
; F000:1000 with the machine's memory map. No screen, no keyboard, no disks:
; for those there is real firmware.

        cpu 386
        bits 16
        org 0xf000

E820_COUNT equ 0x1000           ; word
E820_LIMIT equ 0x1002           ; word: KB above 1 MB, up to 65535
E820_BELOW equ 0x1004           ; word: KB from 1 MB to 16 MB
E820_ABOVE equ 0x1006           ; word: 64 KB blocks from 16 MB on
E820_TABLE equ 0x1010           ; 20 bytes an entry
SMAP       equ 0x534d4150
LOW_KB     equ 639

; Entry points, at fixed places: machine/bios.c puts them into the vectors.
        jmp near fail           ; F000: every software interrupt without own
        jmp near irq_low        ; F003: IRQ 0 to 7
        jmp near irq_high       ; F006: IRQ 8 to 15
        jmp near plain          ; F009: exceptions and the like
        jmp near int10          ; F00C
        jmp near int11          ; F00F
        jmp near int12          ; F012
        jmp near int15          ; F015
        jmp near int16          ; F018
        jmp near int1a          ; F01B
        jmp near reset          ; F01E: int 18h, int 19h

; Carry in the caller's flags says whether it worked.
fail:   mov ah, 0x86
carry:  push bp
        mov bp, sp
        or byte [bp + 6], 1
        pop bp
plain:  iret

good:   push bp
        mov bp, sp
        and byte [bp + 6], 0xfe
        pop bp
        iret

irq_high:
        push ax
        mov al, 0x20
        out 0xa0, al
        jmp irq_low.master
irq_low:
        push ax
        mov al, 0x20
.master:
        out 0x20, al
        pop ax
        iret

; Video: a text screen nobody sees, 80 columns, mode 3.
int10:  cmp ah, 0x0f
        je .mode
        cmp ah, 0x03
        je .cursor
        iret
.mode:  mov ax, 80 << 8 | 3
        xor bh, bh
        iret
.cursor:
        xor dx, dx
        mov cx, 0x0607
        iret

int11:  mov ax, 0x0020          ; 80 columns colour, no floppy, no coprocessor
        iret

int12:  mov ax, LOW_KB
        iret

; Keyboard: never a key.
int16:  and ah, 0xef            ; enhanced calls are 10h above the old ones
        cmp ah, 0x01
        je .empty
        xor ax, ax
        iret
.empty: push bp
        mov bp, sp
        or byte [bp + 6], 0x40  ; ZF: no key
        pop bp
        xor ax, ax
        iret

; Time: ticks since midnight, from the BIOS data area.
int1a:  test ah, ah
        jnz fail
        push ds
        xor cx, cx
        mov ds, cx
        mov dx, [0x46c]
        mov cx, [0x46e]
        pop ds
        xor al, al
        jmp good

int15:  cmp ax, 0xe820
        je .e820
        cmp ax, 0xe801
        je .e801
        cmp ah, 0x88
        je .extended
        cmp ah, 0x24
        je .a20
        cmp ah, 0x86            ; wait: it is over at once
        je good
        jmp fail

.extended:
        mov ax, [cs:E820_LIMIT]
        jmp good

.e801:  mov ax, [cs:E820_BELOW]
        mov bx, [cs:E820_ABOVE]
        mov cx, ax
        mov dx, bx
        jmp good

; A20 is on and stays on; it has a gate in the keyboard controller and port 92h.
.a20:   cmp al, 2               ; is it on?
        jne .how
        mov al, 1
.how:   cmp al, 3               ; where is the gate?
        jne .done
        mov bx, 3
.done:  mov ah, 0
        jmp good

; EDX "SMAP", EBX index, ES:DI 20 bytes or more, ECX their number.
.e820:  cmp edx, SMAP
        jne fail
        cmp ecx, 20
        jb fail
        cmp bx, [cs:E820_COUNT]
        jae fail
        push si
        push di
        push ds
        push cs
        pop ds
        imul si, bx, 20
        add si, E820_TABLE
        mov cx, 10
        cld
        rep movsw
        pop ds
        pop di
        pop si
        mov eax, SMAP
        mov ecx, 20
        inc bx
        movzx ebx, bx
        cmp bx, [cs:E820_COUNT]
        jb good
        xor ebx, ebx
        jmp good

; Also where a CPU starts that is sent here: reset the machine.
reset:  mov dx, 0xcf9
        mov al, 2
        out dx, al
        mov al, 6
        out dx, al
.stop:  cli
        hlt
        jmp .stop

        times 0xff0 - ($ - $$) db 0x90
        jmp 0xf000:reset
        db '01/01/25'           ; F000:FFF5: date
        db 0
        db 0xfc                 ; F000:FFFE: an AT
        db 0
