#!/bin/sh
# Prepares the demo guest in build/guest: Debian's kernel for clouds and an
# initramfs with a static busybox. Once made, needs no network.
set -eu
out=build/guest
[ -f $out/vmlinuz ] && [ -f $out/initrd ] &&
    [ $out/initrd -nt tools/initrd.sh ] && exit 0
mkdir -p $out
if [ ! -f $out/vmlinuz ]; then
    tools/kernel.sh
    ln build/kernel/vmlinuz $out/vmlinuz
fi
tools/initrd.sh $out/initrd
