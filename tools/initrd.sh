#!/bin/sh
# Makes an initramfs with a static busybox:
#   tools/initrd.sh FILE [INIT-SCRIPT]
# Without a script, init opens a shell on the console.
set -eu
file=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" \
    "$root/root"
cp /bin/busybox "$root/bin/busybox"
for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
ln -s bin "$root/sbin"
if [ $# -gt 1 ]; then
    cp "$2" "$root/init"
else
    mkdir -p "$root/etc"
    cat > "$root/init" <<'INIT'
#!/bin/sh
/bin/mount -t proc proc /proc
/bin/mount -t sysfs sys /sys
/bin/mount -t devtmpfs dev /dev
/bin/ln -s /proc/self/fd /dev/fd
/bin/hostname lodge
exec /sbin/init
INIT
    cat > "$root/etc/inittab" <<'INITTAB'
::once:/bin/echo
::once:/bin/echo "This is a virtual machine under Lodge. 'poweroff' ends it."
::respawn:/bin/console
INITTAB
    cat > "$root/bin/console" <<'CONSOLE'
#!/bin/sh
export PATH=/bin HOME=/root PS1='lodge:\w# ' TERM=linux
cd /root
exec cttyhack sh
CONSOLE
    chmod 755 "$root/bin/console"
fi
chmod 755 "$root/init"
(cd "$root" && find . | LC_ALL=C sort |
    cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -9n > "$file.part"
mv "$file.part" "$file"
