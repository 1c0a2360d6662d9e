#!/bin/sh
# Prepares the guests of `make test-pc`, which boot from their own media, from
# Debian packages:
#   build/guest-pc/installer-amd64.iso, installer-i386.iso
#       what mini.iso is: the installer's netboot files and isolinux
#   build/guest-pc/memtest86+x64.iso, grub-rescue-cdrom.iso, -floppy.img
#   build/guest-pc/freedos.img   a floppy, from the file that $FREEDOS names
# Once made, needs no network.
set -eu
. tools/fetch.sh
tmp=
trap 'rm -rf "$tmp"' EXIT
out=build/guest-pc
mkdir -p $out

installer() { # ARCHITECTURE
    [ -f "$out/installer-$1.iso" ] && return
    tmp=$(mktemp -d)
    mkdir "$tmp/di" "$tmp/boot" "$tmp/cd"
    fetch_for # these are packages for all architectures
    fetch_unpack "debian-installer-12-netboot-$1" "$tmp/di"
    fetch_unpack isolinux "$tmp/boot"
    from=$tmp/di/usr/lib/debian-installer/images/12/$1/text/debian-installer/$1
    cp "$from/linux" "$from/initrd.gz" "$tmp/cd"
    cp "$from"/boot-screens/* "$tmp/cd"
    cp "$tmp/boot/usr/lib/ISOLINUX/isolinux.bin" "$tmp/cd"
    # The menus name their files by the path on a TFTP server.
    sed -i "s,debian-installer/$1/boot-screens/,,g;s,debian-installer/$1/,,g" \
        "$tmp"/cd/*.cfg
    mv "$tmp/cd/syslinux.cfg" "$tmp/cd/isolinux.cfg"
    xorriso -as mkisofs -quiet -V "Lodge-$1" -o "$out/installer-$1.iso.part" \
        -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 \
        -boot-info-table "$tmp/cd"
    mv "$out/installer-$1.iso.part" "$out/installer-$1.iso"
    rm -rf "$tmp"
}

installer amd64
installer i386

packaged() { # PACKAGE FILE…
    package=$1
    shift
    tmp=$(mktemp -d)
    fetch_for
    fetch_unpack "$package" "$tmp"
    for file; do
        cp "$tmp/usr/lib/$file" "$out/"
    done
    rm -rf "$tmp"
}

[ -f "$out/memtest86+x64.iso" ] ||
    packaged memtest86+ memtest86+/memtest86+x64.iso
[ -f "$out/grub-rescue-floppy.img" ] ||
    packaged grub-rescue-pc grub-rescue/grub-rescue-cdrom.iso \
        grub-rescue/grub-rescue-floppy.img
[ -z "${FREEDOS:-}" ] || cp "$FREEDOS" "$out/freedos.img"
