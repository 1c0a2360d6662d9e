#!/bin/sh
# Compiles the core with no operating system's headers in reach: what a
# bare-metal build would have.
set -u
cc=${CC:-gcc}
builtin=$($cc -print-file-name=include)
# Headers that the build makes (opcode index, embedded tables) are in there.
build=${1:-build}
failed=0
for f in $(git ls-files 'base/*.c' 'x86/*.c' 'engine/*.c' 'vm/*.c' \
    'hw/*.c' 'machine/*.c' 'image/*.c' | grep -v '^engine/kvm/' |
    grep -v '/tools/'); do
    $cc -std=c17 -ffreestanding -nostdinc -isystem "$builtin" -I. -Iinclude \
        -I"$build" -I"$build/machine" -fno-strict-aliasing -fsyntax-only "$f" || {
        echo "core: $f"
        failed=1
    }
done
[ $failed = 0 ] && echo "core: freestanding"
exit $failed
