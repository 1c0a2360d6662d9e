; A floppy that shows one video mode after the other: sets it through the BIOS,
; changes registers, fills the screen's memory with a pattern, says so with a
; byte on COM1, and waits for a key. modes.py makes the table of modes, modes.inc,
; and compares the pictures.
bits 16
org 0x7c00

SERIAL equ 0x3f8

; How memory is filled.
CELLS  equ 0                    ; B800: 32 KB
MONO   equ 1                    ; B000: 32 KB
BYTES  equ 2                    ; A000: 64 KB
PLANES equ 3                    ; A000, each of four planes
BANKS  equ 4                    ; A000, sixteen banks of VBE

start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    mov ax, 0x0200 + SECTORS    ; what follows this sector
    mov bx, more
    mov cx, 2
    xor dh, dh                  ; dl: the drive, from the BIOS
    int 0x13
    jc start
    mov dx, SERIAL + 3          ; bytes of eight bits
    mov al, 3
    out dx, al
    mov si, table
    jmp next

    times 510 - ($ - $$) db 0
    dw 0xaa55

more:
next:
    lodsw                       ; the mode; 0xffff ends
    cmp ax, 0xffff
    je done
    cmp ax, 0x100
    jae .vbe
    int 0x10
    mov ax, 0x1003              ; bright backgrounds, no blinking
    xor bx, bx
    int 0x10
    mov ah, 1                   ; no cursor
    mov cx, 0x2000
    int 0x10
    jmp .registers
.vbe:
    mov bx, ax
    mov ax, 0x4f02
    int 0x10
    cmp ax, 0x004f
    je .registers
    mov al, '!'                 ; there is no such mode
    call say
.registers:
    lodsb
    mov [kind], al
    lodsb
    movzx bp, al                ; how many; port, index, value of each
.register:
    dec bp
    js .fill
    lodsw
    mov dx, ax
    lodsw
    cmp dx, 0x3c0
    je .attribute
    out dx, ax                  ; index and value
    jmp .register
.attribute:
    mov bx, ax
    mov dx, 0x3da
    in al, dx
    mov dx, 0x3c0
    mov al, bl
    out dx, al
    mov al, bh
    out dx, al
    mov al, 0x20                ; the screen is on again
    out dx, al
    jmp .register
.fill:
    mov byte [seed], 0
    cmp byte [kind], MONO
    ja .graphics
    mov ax, 0xb800
    jb .window
    mov ax, 0xb000
.window:
    mov es, ax
    mov cx, 0x8000
    call pattern
    jmp .shown
.graphics:
    mov ax, 0xa000
    mov es, ax
    cmp byte [kind], PLANES
    je .planes
    ja .banks
    xor cx, cx
    call pattern
    jmp .shown
.planes:
    mov bp, 1                   ; map mask
.plane:
    mov dx, 0x3c4
    mov ax, bp
    mov ah, al
    mov al, 2
    out dx, ax
    xor cx, cx
    call pattern
    add byte [seed], 85
    shl bp, 1
    cmp bp, 16
    jb .plane
    jmp .shown
.banks:
    xor bp, bp
.bank:
    mov ax, 0x4f05
    xor bx, bx
    mov dx, bp
    int 0x10
    xor cx, cx
    call pattern
    add byte [seed], 37
    inc bp
    cmp bp, 16
    jb .bank
.shown:
    mov al, '.'
    call say
    xor ah, ah
    int 0x16
    jmp next

done:
    mov al, '$'
    call say
    jmp $

; cx bytes from es:0 on, 0 is 64 KB
pattern:
    xor di, di
.byte:
    mov ax, di
    shr ax, 5
    xor ax, di
    add al, ah
    add al, [seed]
    mov ah, al                  ; no shades of grey: QEMU makes them wider
    and ah, 0xfc
    cmp ah, 0xb0
    jne .store
    xor al, 0x40
.store:
    stosb
    loop .byte
    ret

say:
    mov dx, SERIAL
    out dx, al
    ret

kind: db 0
seed: db 0

%macro mode 2-*                 ; number, kind, port and index | value << 8 …
    dw %1
    db %2, (%0 - 2) / 2
%rotate 2
%rep (%0 - 2) / 2
    dw %1, %2
%rotate 2
%endrep
%endmacro

table:
%include "modes.inc"
    dw 0xffff

SECTORS equ ($ - more + 511) / 512
    times SECTORS * 512 - ($ - more) db 0
