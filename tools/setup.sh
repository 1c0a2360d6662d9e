#!/bin/sh
# Installs the Debian packages that Lodge is built and tested with, and says
# which. With nothing missing it does nothing and needs no network.
#   tools/setup.sh build|guest|test|debian|pc|bench|fuzz
set -eu

build="meson ninja-build pkg-config gcc libc6-dev python3 acpica-tools nasm
zlib1g-dev libzstd-dev liblzma-dev liblz4-dev libbz2-dev liburing-dev
libjansson-dev libpng-dev libncurses-dev libvncserver-dev libslirp-dev"
guest="busybox-static cpio xz-utils gzip seabios ovmf"
test="libcmocka-dev libzydis-dev qemu-system-x86 qemu-utils cpio busybox-static
gcc-multilib libc6-dev-i386 kmod gdb"
debian="mmdebstrap e2fsprogs"
pc="xorriso ipxe-qemu grub-common grub-pc-bin mmdebstrap arch-test e2fsprogs fdisk dosfstools mtools openssh-client"
fuzz="clang libclang-rt-dev"
bench="qemu-system-x86 mmdebstrap e2fsprogs kmod cpio xz-utils gzip"

case "${1:-build}" in
build) want=$build ;;
guest) want="$build $guest" ;;
test) want="$build $guest $test" ;;
debian) want="$build $guest $test $debian" ;;
pc) want="$build $guest $test $pc" ;;
bench) want="$build $bench" ;;
fuzz) want="$build $fuzz" ;;
*) echo "usage: tools/setup.sh build|guest|test|debian|pc|bench|fuzz" >&2; exit 2 ;;
esac

missing=
for p in $want; do
    case "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" in
    installed) ;;
    *) missing="$missing $p" ;;
    esac
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "Lodge needs these packages, and neither root nor sudo is here:$missing" >&2
        exit 1
    }
    root=sudo
fi
echo "Installing Debian packages:$missing"
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $missing >/dev/null

# What was configured without them shall find them.
for b in build build-*; do
    [ ! -f "$b/build.ninja" ] || meson setup --reconfigure "$b" >/dev/null
done
