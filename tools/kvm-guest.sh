#!/bin/sh
# Prepares the nested machine of tests/kvm in build/guest-kvm: Debian's kernel
# with KVM for AMD-V, an initramfs that loads it and runs /lodge/inside, and
# the initramfs of the guest inside. Needs build/guest (tools/demo-guest.sh).
# Once made, needs no network.
set -eu
out=build/guest-kvm
[ -f $out/vmlinuz ] && [ -f $out/initrd ] && [ -f $out/inner ] &&
    [ $out/initrd -nt tools/initrd.sh ] && [ $out/initrd -nt "$0" ] && exit 0
mkdir -p $out
tools/kernel.sh
tools/kernel.sh amd64
ln -f build/kernel-amd64/vmlinuz $out/vmlinuz
init=$(mktemp)
trap 'rm -f "$init"' EXIT
cat > "$init" <<'INIT'
#!/bin/sh
export PATH=/bin
echo inner init: $(nproc) CPUs
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
read -r words < /proc/cmdline
case "$words" in *lodge.*)
    for m in $(cat /lib/modules/order); do insmod "$m"; done ;;
esac
case "$words" in
*lodge.reboot*) # once
    if [ "$(head -c 5 /dev/vda)" != again ]; then
        echo again | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null
        reboot -f
    fi ;;
*lodge.disk*)
    n=0
    while [ $n -lt ${words##*lodge.disk=} ]; do
        n=$((n + 1))
        dd if=/dev/vda of=/dev/null bs=4k count=256 iflag=direct 2>/dev/null
    done
    echo disk $(md5sum < /dev/vda)
    grep virtio /proc/interrupts ;;
esac
poweroff -f
INIT
KERNEL=build/kernel MODULES="virtio_pci virtio_blk" \
    tools/initrd.sh $out/inner "$init"
cat > "$init" <<'INIT'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
for m in $(cat /lib/modules/order); do insmod "$m" || echo "no $m"; done
cd /lodge
sh ./inside
poweroff -f
INIT
KERNEL=build/kernel-amd64 MODULES="kvm-amd" tools/initrd.sh $out/initrd "$init"
