#!/bin/sh
# Prepares the guests of `make test-debian`, from Debian packages:
#   build/guest-amd64, build/guest-686-pae
#       vmlinuz, initrd: Debian's other kernels with a static busybox
#   build/guest-disks
#       the amd64 kernel with its drivers for disks
#   build/guest-debian
#       vmlinuz, initrd, root.img: a Debian on a disk, as it installs itself,
#       with gcc; root logs in without a password
#   build/guest-programs
#       the same kernel, root.img with a shell as init, node.js and stress-ng
# Once made, needs no network.
set -eu
. tools/fetch.sh
. tools/debian-root.sh
tmp=
trap 'rm -rf "$tmp"' EXIT

kernel_guest() { # FLAVOUR ARCHITECTURE
    out=build/guest-$1
    [ -f "$out/initrd" ] && [ "$out/initrd" -nt tools/initrd.sh ] && return
    tools/kernel.sh "$1" "$2"
    mkdir -p "$out"
    ln -f "build/kernel-$1/vmlinuz" "$out/vmlinuz"
    fetch_for "$2"
    tmp=$(mktemp -d)
    fetch_unpack busybox-static "$tmp"
    BUSYBOX=$tmp/bin/busybox tools/initrd.sh "$out/initrd"
    rm -rf "$tmp"
}

disks_guest() { # after kernel_guest amd64
    out=build/guest-disks
    [ -f "$out/initrd" ] && [ "$out/initrd" -nt tools/initrd.sh ] && return
    mkdir -p "$out"
    ln -f build/kernel-amd64/vmlinuz "$out/vmlinuz"
    KERNEL=$(pwd)/build/kernel-amd64 \
        MODULES="ata_piix ahci nvme sd_mod sr_mod virtio_pci virtio_blk floppy" \
        tools/initrd.sh "$out/initrd"
}

disk_guest() {
    out=build/guest-debian
    [ -f $out/root.img ] && return
    echo "Making a Debian disk from packages (some minutes)"
    mkdir -p $out
    # /dev/vda as it is, no partitions: --kernel starts it.
    # shellcheck disable=SC2016
    debian_root $out/root amd64 apt \
        systemd-sysv,udev,login,procps,gcc,libc6-dev,linux-image-cloud-amd64,e2fsprogs \
        --customize-hook='chroot "$1" passwd -q -d root' \
        --customize-hook='echo lodge > "$1/etc/hostname"' \
        --customize-hook='echo "/dev/vda / ext4 defaults 0 1" > "$1/etc/fstab"'
    $sudo cp -L $out/root/vmlinuz $out/vmlinuz
    $sudo cp -L $out/root/initrd.img $out/initrd
    debian_file_system $out/root $out/root.part.img 2G
    $sudo chown "$(id -u)" $out/vmlinuz $out/initrd
    mv $out/root.part.img $out/root.img
    $sudo rm -rf $out/root
}

# Takes its kernel from disk_guest.
programs_guest() {
    out=build/guest-programs
    [ -f $out/root.img ] && return
    echo "Making a disk with node.js and stress-ng from packages"
    mkdir -p $out
    # shellcheck disable=SC2016
    $sudo mmdebstrap --quiet --variant=apt --include=nodejs,stress-ng,mount \
        --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='copy-in tools/programs-init /tmp' \
        --customize-hook='mv "$1/tmp/programs-init" "$1/sbin/init"' \
        bookworm $out/root.part.tar
    $sudo rm -rf $out/root
    mkdir $out/root
    $sudo tar -C $out/root -xpf $out/root.part.tar
    $sudo mke2fs -q -t ext4 -d $out/root $out/root.part.img 1G
    $sudo chown "$(id -u)" $out/root.part.img
    ln -f build/guest-debian/vmlinuz build/guest-debian/initrd $out/
    mv $out/root.part.img $out/root.img
    $sudo rm -rf $out/root $out/root.part.tar
}

kernel_guest amd64 amd64
kernel_guest 686-pae i386
disks_guest
disk_guest
programs_guest
