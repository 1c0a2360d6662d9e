#!/bin/sh
# Fetches a kernel of Debian's: tools/kernel.sh [FLAVOUR [ARCHITECTURE]]
# By default the one for clouds: build/kernel/vmlinuz and its modules in
# build/kernel/lib/modules; another is in build/kernel-FLAVOUR. Once there,
# needs no network.
set -eu
. tools/fetch.sh
flavour=${1:-cloud-amd64}
fetch_for "${2:-}"
out=build/kernel
[ "$flavour" = cloud-amd64 ] || out=build/kernel-$flavour
[ -f "$out/vmlinuz" ] && exit 0

fetch_lists "linux-image-$flavour"
kernel=$(fetch_depends "linux-image-$flavour" |
    sed -n 's/^ *Depends: \(linux-image-[0-9][^:]*\).*/\1/p' | head -n 1)
echo "Fetching a guest's kernel: Debian package $kernel"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fetch_unpack "$kernel" "$tmp"
rm -rf "$out"
mkdir -p "$out"
cp -r "$tmp/lib" "$out/"
cp "$tmp"/boot/vmlinuz-* "$out/vmlinuz.part"
mv "$out/vmlinuz.part" "$out/vmlinuz"
