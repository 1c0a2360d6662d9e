#!/bin/sh
# Prepares the guest of the network tests in build/net-guest: Debian's kernel
# with drivers for real PCs, and an initramfs with a static busybox and the
# drivers of network cards. Once made, needs no network.
set -eu
out=build/net-guest
[ -f $out/vmlinuz ] && [ -f $out/initrd ] &&
    [ $out/initrd -nt tools/initrd.sh ] && [ $out/initrd -nt "$0" ] && exit 0
mkdir -p $out
tools/kernel.sh amd64
ln -f build/kernel-amd64/vmlinuz $out/vmlinuz
init=$(mktemp)
trap 'rm -f "$init"' EXIT
cat > "$init" <<'INIT'
#!/bin/sh
export PATH=/bin HOME=/root PS1='lodge:\w# ' TERM=linux
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ip link set lo up
for m in $(cat /lib/modules/order); do insmod "$m"; done
# What udhcpc calls when it has an address.
cat > /bin/dhcp <<'DHCP'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
ip route add default via "$router"
DHCP
chmod 755 /bin/dhcp
cd /root
setsid cttyhack sh
poweroff -f
INIT
KERNEL=build/kernel-amd64 \
    MODULES="virtio_pci virtio_net e1000 8139too 8139cp ne2k-pci" \
    tools/initrd.sh $out/initrd "$init"
