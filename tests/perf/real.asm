; A boot sector that is a benchmark of real mode: work that 16-bit programs are
; made of, in several segments. On COM1 it writes a line at its start, when the
; firmware is done, and one after each piece of work, with the result in hex;
; then it ends the machine by port F4h, or waits.
    bits 16
    org 7c00h

SIEVED equ 60000
A      equ 2000h               ; segments
B      equ 3000h

start:
    cli
    xor ax, ax
    mov ss, ax
    mov sp, 7000h               ; writes beside code are another matter
    mov ds, ax
    cld
    mov dx, 3fbh                ; bytes of eight bits
    mov al, 3
    out dx, al
    mov al, 's'
    call mark

; primes below 60000, by their flags in segment A
    mov bp, 300
sieve:
    mov ax, A
    mov es, ax
    xor di, di
    mov cx, SIEVED / 2
    mov ax, 0101h
    rep stosw
    mov bx, 2
.next:
    cmp byte [es:bx], 0
    je .no
    mov di, bx
    add di, bx
.cross:
    mov byte [es:di], 0
    add di, bx
    jc .no
    cmp di, SIEVED
    jb .cross
.no:
    inc bx
    cmp bx, 245
    jb .next
    dec bp
    jnz sieve
    xor dx, dx
    mov di, 2
.count:
    add dl, [es:di]
    adc dh, 0
    inc di
    cmp di, SIEVED
    jb .count
    mov al, 'p'
    call mark

; the CRC (CCITT) of them, a bit at a time
    mov bp, 25
    mov dx, 0ffffh
    push ds
    mov ax, A
    mov ds, ax
crc:
    xor si, si
    mov cx, SIEVED
.byte:
    lodsb
    xor dh, al
    mov bl, 8
.bit:
    shl dx, 1
    jnc .even
    xor dx, 1021h
.even:
    dec bl
    jnz .bit
    loop .byte
    dec bp
    jnz crc
    pop ds
    mov al, 'c'
    call mark

; words of B sorted, by insertion, anew each time
    mov bp, 40
sort:
    mov ax, B
    mov es, ax
    xor di, di
    mov ax, 1
.fill:
    imul ax, ax, 25173
    add ax, 13849
    stosw
    cmp di, 2000
    jb .fill
    mov si, 2
.insert:
    mov ax, [es:si]
    mov di, si
.down:
    cmp [es:di - 2], ax
    jbe .here
    mov cx, [es:di - 2]
    mov [es:di], cx
    sub di, 2
    jnz .down
.here:
    mov [es:di], ax
    add si, 2
    cmp si, 2000
    jb .insert
    dec bp
    jnz sort
    mov dx, [es:1000]
    mov al, 'o'
    call mark

; far calls, that save segments
    mov ecx, 3000000
    xor dx, dx
calls:
    call 0:far_sub
    dec ecx
    jnz calls
    mov al, 'f'
    call mark

; copies between segments
    mov bp, 20000
copy:
    push ds
    mov ax, A
    mov ds, ax
    mov ax, B
    mov es, ax
    xor si, si
    xor di, di
    mov cx, 16384
    rep movsw
    pop ds
    dec bp
    jnz copy
    mov dx, [es:30000]
    mov al, 'm'
    call mark

    mov al, 0
    out 0f4h, al
    hlt
    jmp $

far_sub:
    push es
    push ax
    mov ax, B
    mov es, ax
    add dx, [es:bx]
    inc dx
    pop ax
    pop es
    retf

; AL, DX in hex, end of line
mark:
    call put
    mov cx, 4
.digit:
    rol dx, 4
    mov al, dl
    and al, 15
    cmp al, 10
    sbb al, 69h
    das
    call put
    loop .digit
    mov al, 10
put:
    push dx
    push ax
    mov dx, 3fdh
.wait:
    in al, dx
    test al, 20h
    jz .wait
    pop ax
    mov dl, 0f8h
    out dx, al
    pop dx
    ret

    times 510 - ($ - $$) db 0
    dw 0aa55h
