#!/bin/sh
# Makes an initramfs with a static busybox:
#   tools/initrd.sh FILE [INIT-SCRIPT]
# Without a script, init opens a shell on the console. BUSYBOX: another one
# than this machine's (of the same version). MODULES: kernel modules to load
# first, with what they need, of the kernel in the folder KERNEL
# (tools/kernel.sh).
set -eu
file=$1
busybox=${BUSYBOX:-/bin/busybox}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" \
    "$root/root"
cp "$busybox" "$root/bin/busybox"
for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
ln -s bin "$root/sbin"
# Init is a script that no signal ends, so these act at once.
for how in poweroff reboot halt; do
    rm -f "$root/bin/$how"
    printf '#!/bin/sh\nexec busybox %s -f "$@"\n' "$how" > "$root/bin/$how"
    chmod 755 "$root/bin/$how"
done
if [ -n "${MODULES:-}" ]; then
    release=$(ls "$KERNEL/lib/modules")
    mkdir -p "$root/lib/modules"
    [ -f "$KERNEL/lib/modules/$release/modules.dep" ] ||
        /sbin/depmod -b "$KERNEL" "$release"
    for name in $MODULES; do
        /sbin/modprobe -d "$KERNEL" -S "$release" --show-depends "$name"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$root/list"
    while read -r file_of; do
        cp "$file_of" "$root/lib/modules/"
        echo "/lib/modules/$(basename "$file_of")" >> "$root/lib/modules/order"
    done < "$root/list"
    rm "$root/list"
fi
if [ $# -gt 1 ]; then
    cp "$2" "$root/init"
else
    cat > "$root/init" <<'INIT'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in $(cat /lib/modules/order 2>/dev/null); do insmod "$m"; done
ln -s /proc/self/fd /dev/fd 2>/dev/null
hostname lodge
exec init
INIT
    # A true init as process 1: poweroff and reboot ask it.
    mkdir "$root/etc"
    echo '::once:/etc/session' > "$root/etc/inittab"
    cat > "$root/etc/session" <<'SESSION'
#!/bin/sh
export PATH=/bin HOME=/root PS1='lodge:\w# ' TERM=linux
echo
echo "This is a virtual machine under Lodge. 'poweroff' ends it."
cd /root
setsid cttyhack sh
poweroff -f
SESSION
    chmod 755 "$root/etc/session"
fi
chmod 755 "$root/init"
(cd "$root" && find . | LC_ALL=C sort |
    cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -9n > "$file.part"
mv "$file.part" "$file"
