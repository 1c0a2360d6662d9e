#!/bin/sh
# Prepares the guests of `make test-pc`, which boot from their own media, from
# Debian packages:
#   build/guest-pc/installer-amd64.iso, installer-i386.iso
#       what mini.iso is: the installer's netboot files, text and graphical,
#       with isolinux and GRUB for UEFI
#   build/guest-pc/memtest86+x64.iso, grub-rescue-cdrom.iso, -floppy.img
#   build/guest-pc/ipxe.iso, u-boot-x86.rom, u-boot-x86_64.rom
#   build/guest-pc/syslinux.img, isolinux.iso   the loaders and their commands;
#       the floppy has iPXE, too
#   build/guest-pc/xen.iso  Xen by GRUB, its dom0 the installer's kernel, or the
#       Debian on a disk with the label root
#   build/guest-pc/freedos.img   a floppy, from the file that $FREEDOS names
# Once made, needs no network.
set -eu
. tools/fetch.sh
tmp=
trap 'rm -rf "$tmp"' EXIT
out=build/guest-pc
mkdir -p $out

# By isolinux and by GRUB for UEFI: text is initrd.gz, graphical is gtk.gz.
installer() { # ARCHITECTURE
    [ -f "$out/installer-$1.iso" ] && [ -f "$out/installers-2" ] && return
    tmp=$(mktemp -d)
    mkdir "$tmp/di" "$tmp/boot" "$tmp/cd" "$tmp/cd/boot" "$tmp/cd/boot/grub" \
        "$tmp/cd/.disk"
    fetch_for # these are packages for all architectures
    fetch_unpack "debian-installer-12-netboot-$1" "$tmp/di"
    fetch_unpack isolinux "$tmp/boot"
    fetch_unpack grub-efi-amd64-bin "$tmp/boot"
    images=$tmp/di/usr/lib/debian-installer/images/12/$1
    from=$images/text/debian-installer/$1
    cp "$from/linux" "$from/initrd.gz" "$tmp/cd"
    cp "$images/gtk/debian-installer/$1/initrd.gz" "$tmp/cd/gtk.gz"
    cp "$from"/boot-screens/* "$tmp/cd"
    cp "$tmp/boot/usr/lib/ISOLINUX/isolinux.bin" "$tmp/cd"
    # The menus name their files by the path on a TFTP server.
    sed -i "s,debian-installer/$1/boot-screens/,,g;s,debian-installer/$1/,,g" \
        "$tmp"/cd/*.cfg
    mv "$tmp/cd/syslinux.cfg" "$tmp/cd/isolinux.cfg"
    # GRUB for CDs looks for the medium that has this file.
    echo Lodge > "$tmp/cd/.disk/info"
    cat > "$tmp/cd/boot/grub/grub.cfg" <<'MENU'
serial
terminal_output console serial
menuentry 'Text install' --hotkey=t {
    linux /linux fb=false
    initrd /initrd.gz
}
menuentry 'Graphical install' --hotkey=g {
    linux /linux
    initrd /gtk.gz
}
MENU
    truncate -s 4M "$tmp/cd/efi.img"
    mformat -i "$tmp/cd/efi.img" ::
    mmd -i "$tmp/cd/efi.img" ::EFI ::EFI/BOOT
    mcopy -i "$tmp/cd/efi.img" \
        "$tmp/boot/usr/lib/grub/x86_64-efi/monolithic/gcdx64.efi" \
        ::EFI/BOOT/BOOTX64.EFI
    xorriso -as mkisofs -quiet -V "Lodge-$1" -o "$out/installer-$1.iso.part" \
        -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 \
        -boot-info-table -eltorito-alt-boot -e efi.img -no-emul-boot "$tmp/cd"
    mv "$out/installer-$1.iso.part" "$out/installer-$1.iso"
    rm -rf "$tmp"
}

installer amd64
installer i386
: > "$out/installers-2" # since when they are what they are

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
[ -f "$out/ipxe.iso" ] || packaged ipxe ipxe/ipxe.iso ipxe/ipxe.lkrn
[ -f "$out/u-boot-x86_64.rom" ] || {
    for rom in x86 x86_64; do
        packaged u-boot-qemu u-boot/qemu-$rom/u-boot.rom
        mv "$out/u-boot.rom" "$out/u-boot-$rom.rom"
    done
}

# The loaders of the Syslinux project with some of their commands.
syslinux() {
    tmp=$(mktemp -d)
    mkdir "$tmp/deb" "$tmp/cd"
    fetch_for
    for package in syslinux syslinux-common isolinux; do
        fetch_unpack $package "$tmp/deb"
    done
    for command in ldlinux libcom32 libutil libgpl libmenu ls pwd cpuid; do
        cp "$tmp/deb/usr/lib/syslinux/modules/bios/$command.c32" "$tmp/cd"
    done
    printf 'PROMPT 1\nTIMEOUT 0\nSAY %s\nLABEL ipxe\n  KERNEL ipxe.lkrn\n' \
        'Lodge tests this loader' > "$tmp/cd/syslinux.cfg"
    truncate -s 1440K "$tmp/floppy"
    mformat -i "$tmp/floppy" -f 1440 ::
    mcopy -i "$tmp/floppy" "$tmp"/cd/* "$out/ipxe.lkrn" ::
    "$tmp/deb/usr/bin/syslinux" --install "$tmp/floppy"
    mv "$tmp/cd/syslinux.cfg" "$tmp/cd/isolinux.cfg"
    cp "$tmp/deb/usr/lib/ISOLINUX/isolinux.bin" "$tmp/cd"
    xorriso -as mkisofs -quiet -o "$out/isolinux.iso" -b isolinux.bin \
        -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$tmp/cd"
    mv "$tmp/floppy" "$out/syslinux.img"
    rm -rf "$tmp"
}

[ -f "$out/syslinux.img" ] || syslinux

xen() {
    tmp=$(mktemp -d)
    grub=$tmp/cd/boot/grub
    mkdir -p "$tmp/deb" "$grub"
    fetch_for
    fetch_unpack xen-hypervisor-4.17-amd64 "$tmp/deb"
    cp "$tmp/deb/boot/xen-4.17-amd64.gz" "$tmp/cd/xen.gz"
    xorriso -osirrox on -indev "$out/installer-amd64.iso" \
        -extract /linux "$tmp/cd/linux" -extract /initrd.gz "$tmp/cd/initrd.gz" \
        2>/dev/null
    cat > "$grub/grub.cfg" <<'MENU'
serial
terminal_output console serial
set xen='com1=115200,8n1 console=com1,vga loglvl=all'
menuentry 'Shell' --hotkey=s {
    multiboot2 /xen.gz $xen
    module2 /linux console=hvc0 rdinit=/bin/sh
    module2 /initrd.gz
}
menuentry 'Debian on disk' --hotkey=d {
    multiboot2 /xen.gz $xen
    search --label root --set=root
    module2 /vmlinuz root=LABEL=root ro console=hvc0
    module2 /initrd.img
}
MENU
    echo 'configfile (cd)/boot/grub/grub.cfg' > "$tmp/early"
    grub-mkimage -O i386-pc-eltorito -p /boot/grub -c "$tmp/early" \
        -o "$grub/core.img" biosdisk iso9660 part_gpt ext2 search configfile \
        normal serial terminal multiboot2 gzio boot
    xorriso -as mkisofs -quiet -o "$out/xen.iso" -b boot/grub/core.img \
        -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$tmp/cd"
    rm -rf "$tmp"
}

[ -f "$out/xen.iso" ] || xen

[ -z "${FREEDOS:-}" ] || cp "$FREEDOS" "$out/freedos.img"
