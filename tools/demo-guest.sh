#!/bin/sh
# Prepares the demo guest in build/guest: Debian's kernel for clouds and an
# initramfs with a static busybox. Once made, needs no network.
set -eu
out=build/guest
[ -f $out/vmlinuz ] && [ -f $out/initrd ] && exit 0
mkdir -p $out

if [ ! -f $out/vmlinuz ]; then
    meta=linux-image-cloud-amd64
    # An emptied package list is common in container images.
    apt-cache show $meta >/dev/null 2>&1 ||
        $([ "$(id -u)" = 0 ] || echo sudo) apt-get update -qq
    kernel=$(apt-cache depends $meta |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    echo "Fetching the guest's kernel: Debian package $kernel"
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    (cd "$tmp" && chmod 777 . && apt-get download -qq "$kernel" &&
        dpkg -x ./*.deb .)
    cp "$tmp"/boot/vmlinuz-* $out/vmlinuz.part
    mv $out/vmlinuz.part $out/vmlinuz
fi
tools/initrd.sh $out/initrd
