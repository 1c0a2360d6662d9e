#!/bin/sh
# Builds one test kernel: build.sh BITS OUT SOURCE-DIR KERNEL CC [FLAG]...
# The result is a 32-bit ELF file whatever the kernel's code, as multiboot
# loaders want it.
set -eu
bits=$1 out=$2 dir=$3 name=$4
shift 4
flags="-m$bits -std=gnu17 -O1 -g0 -ffreestanding -fno-pic -fno-pie
 -nostdlib -static -fno-stack-protector -fno-asynchronous-unwind-tables
 -fcf-protection=none -mgeneral-regs-only -fno-strict-aliasing
 -Wall -Wextra -I$dir/lib
 -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096
 -Wl,--no-warn-rwx-segments"
[ "$bits" = 32 ] || flags="$flags -mno-red-zone -mcmodel=small"
sources=
for f in "$dir/$name.c" "$dir/$name.S" "$dir"/lib/*.c "$dir"/lib/*.S; do
    [ ! -f "$f" ] || sources="$sources $f"
done
# shellcheck disable=SC2086
"$@" $flags -T "$dir/lib/kernel.ld" -o "$out.linked" $sources
objcopy -O elf32-i386 "$out.linked" "$out"
rm -f "$out.linked"
