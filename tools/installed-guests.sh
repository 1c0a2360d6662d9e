#!/bin/sh
# Prepares disks with an installed Debian 12 in build/guest-installed, from
# Debian packages:
#   amd64.img   boots by BIOS and by UEFI (Secure Boot, too); with an SSH server
#   i386.img    boots by BIOS, with the kernel for CPUs without PAE
# GPT: GRUB's core, an EFI system partition, the root (ext4, from $start on).
# GRUB's menu and the login are on the serial line and on the screen; root logs
# in without a password. Once made, needs no network.
set -eu
. tools/debian-root.sh
out=build/guest-installed
mb=1048576
esp_mb=16 root_mb=1000
core=2048 # sectors: where GRUB's core begins
esp=$((core + 2048))
start=$((esp + esp_mb * 2048))
mkdir -p $out
tmp=
trap '$sudo rm -rf "$tmp"' EXIT

# Drivers of what a PC under Lodge has not.
unwanted() {
    for d in gpu/drm/amd gpu/drm/i915 gpu/drm/nouveau gpu/drm/radeon \
        gpu/drm/vmwgfx media infiniband staging iio isdn net/wireless \
        net/ethernet/mellanox net/ethernet/broadcom net/ethernet/chelsio \
        net/ethernet/qlogic net/ethernet/cavium net/ethernet/sfc \
        net/ethernet/netronome scsi/qla2xxx scsi/lpfc scsi/bfa comedi mtd \
        target hwmon usb/gadget usb/serial; do
        echo "--dpkgopt=path-exclude=/lib/modules/*/kernel/drivers/$d/*"
    done
    for d in sound net/wireless net/bluetooth net/mac80211 fs/ocfs2 fs/xfs \
        fs/btrfs fs/nfs fs/nfsd fs/ceph fs/smb; do
        echo "--dpkgopt=path-exclude=/lib/modules/*/kernel/$d/*"
    done
}

write() { # FILE LINE…
    write_to=$1
    shift
    printf '%s\n' "$@" | $sudo tee "$write_to" >/dev/null
}

configure() { # ROOT
    $sudo chroot "$1" passwd -q -d root
    $sudo chroot "$1" systemctl -q enable systemd-networkd
    $sudo chroot "$1" systemctl -q mask apt-daily.timer \
        apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
    write "$1/etc/hostname" 'lodge'
    write "$1/etc/hosts" '127.0.0.1 localhost lodge'
    write "$1/etc/fstab" 'LABEL=root / ext4 defaults 0 1'
    write "$1/etc/systemd/network/all.network" '[Match]' 'Name=en* eth*' \
        '[Network]' 'DHCP=yes'
    $sudo mkdir -p "$1/boot/grub"
    write "$1/boot/grub/grub.cfg" "$(menu)"
}

menu() {
    cat <<'CFG'
set timeout=10
if [ "$grub_platform" = pc ]; then
    serial --unit=0 --speed=115200
    terminal_input console serial
    terminal_output console serial
fi
menuentry 'Debian' --hotkey=d {
    linux /vmlinuz root=LABEL=root ro console=tty0 console=ttyS0,115200
    initrd /initrd.img
}
menuentry 'Text screen' --hotkey=t {
    linux /vmlinuz root=LABEL=root ro nomodeset console=ttyS0,115200 console=tty0
    initrd /initrd.img
}
menuentry 'Old PC' --hotkey=o {
    linux /vmlinuz root=LABEL=root ro nosmp noapic acpi=off console=ttyS0,115200
    initrd /initrd.img
}
CFG
}

# GRUB for BIOS, as grub-install puts it on a GPT disk: boot.img in the first
# sector loads core.img's first, which loads the others; both hold where.
grub_pc() { # ROOT IMAGE
    $sudo cp -r "$1/usr/lib/grub/i386-pc" "$1/boot/grub/"
    echo 'search.fs_label root root
        set prefix=($root)/boot/grub' > "$tmp/core.cfg"
    $sudo cp "$tmp/core.cfg" "$1/boot/grub/i386-pc/load.cfg"
    $sudo chroot "$1" sh -c 'cd /boot/grub/i386-pc && grub-mkimage -O i386-pc \
        -p /boot/grub -c load.cfg -o core.img \
        biosdisk part_gpt ext2 search_label'
    cp "$1/boot/grub/i386-pc/core.img" "$1/boot/grub/i386-pc/boot.img" "$tmp"
    printf '\000\010\000\000\000\000\000\000' | # $core
        patch_file "$tmp/boot.img" 92
    printf '\001\010\000\000\000\000\000\000' | # the one behind it
        patch_file "$tmp/core.img" 500
    dd if="$tmp/boot.img" of="$2" bs=1 count=440 conv=notrunc status=none
    dd if="$tmp/core.img" of="$2" bs=512 seek=$core conv=notrunc status=none
}

patch_file() { # FILE OFFSET, bytes from stdin
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# GRUB for UEFI, Debian's own signed chain, where firmware looks on a medium
# that it has no entry for.
grub_efi() { # ROOT IMAGE
    part=$tmp/esp
    mkfs.vfat -F 16 -n ESP -C "$part" $((esp_mb * 1024)) >/dev/null
    echo 'search.fs_label root root
        set prefix=($root)/boot/grub
        configfile $prefix/grub.cfg' > "$tmp/esp.cfg"
    mmd -i "$part" ::EFI ::EFI/BOOT ::EFI/debian
    mcopy -i "$part" "$1/usr/lib/shim/shimx64.efi.signed" \
        ::EFI/BOOT/BOOTX64.EFI
    mcopy -i "$part" "$1/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" \
        ::EFI/BOOT/grubx64.efi
    mcopy -i "$part" "$tmp/esp.cfg" ::EFI/debian/grub.cfg
    dd if="$part" of="$2" bs=1M seek=$((esp / 2048)) conv=notrunc,sparse \
        status=none
}

installed() { # ARCHITECTURE KERNEL MORE-PACKAGES
    image=$out/$1.img
    [ -f "$image" ] && [ "$image" -nt "$0" ] && return
    echo "Installing a Debian for $1 on a disk (some minutes)"
    tmp=$(mktemp -d -p "$out")
    chmod 755 "$tmp"
    # shellcheck disable=SC2046 # words without blanks
    debian_root "$tmp/root" "$1" apt \
        "systemd-sysv,libpam-systemd,dbus,udev,login,procps,kmod,e2fsprogs,initramfs-tools,zstd,grub2-common,grub-pc-bin,$2,$3" \
        $(unwanted)
    configure "$tmp/root"
    truncate -s $((start * 512 + (root_mb + 1) * mb)) "$tmp/disk"
    sfdisk -q "$tmp/disk" <<PARTITIONS
label: gpt
start=$core, size=2048, type=21686148-6449-6E6F-744E-656564454649
start=$esp, size=$((esp_mb * 2048)), type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start=$start, size=$((root_mb * 2048)), type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
PARTITIONS
    grub_pc "$tmp/root" "$tmp/disk"
    [ "$1" = i386 ] || grub_efi "$tmp/root" "$tmp/disk"
    debian_file_system "$tmp/root" "$tmp/disk" ${root_mb}M -L root \
        -E offset=$((start * 512))
    mv "$tmp/disk" "$image"
    $sudo rm -rf "$tmp"
}

installed amd64 linux-image-amd64 \
    grub-efi-amd64-bin,grub-efi-amd64-signed,shim-signed,efibootmgr,openssh-server,wget,iproute2
installed i386 linux-image-686 iproute2
