#!/bin/sh
# Prepares the guest of `make bench` in build/bench:
#   root/        Debian with the programs and workloads: where they run natively
#   root.img     the same as a file system of a disk
#   disk.img     the disk that the disk workloads use
#   initrd       modules, and the init that runs the workloads
# Packages are fetched once; the workloads are compiled when they changed.
set -eu
out=build/bench
src=tests/perf
. tools/debian-root.sh

tools/kernel.sh
mkdir -p $out
if [ ! -f $out/root.tar ]; then
    echo "Making the guest's root from Debian packages (some minutes)"
    debian_root $out/root.part.tar amd64 essential \
        gcc,libc6-dev,dash,python3-minimal,lua5.4,perl-base,sqlite3,xz-utils,gzip
    $sudo mv $out/root.part.tar $out/root.tar
    rm -f $out/done
fi
[ -f $out/done ] && [ -z "$(find $src/work $src/list tools/bench-guest.sh \
    -newer $out/done | head -n 1)" ] && exit 0

echo "Compiling the workloads in the guest's root"
rm -f $out/done
$sudo rm -rf $out/root $out/initrd.d
mkdir $out/root
$sudo tar -C $out/root -xpf $out/root.tar
$sudo chown "$(id -u)" $out/root
$sudo mkdir -p $out/root/bench/src
$sudo cp $src/work/* $out/root/bench/src/
$sudo cp $src/list $out/root/bench/
$sudo chroot $out/root sh -ec '
    cd /bench/src
    for f in *.c; do
        opt=
        [ $f = run.c ] && opt=-static
        gcc -O2 -Wall -Wextra -Werror $opt -o ../${f%.c} $f -lm
    done
    ../text 3000000 > ../text.part
    mv ../text.part ../text'

# Big enough for what is in it and some air; never written.
rm -f $out/root.img
size=$($sudo du -sm $out/root | cut -f1)
$sudo mke2fs -q -t ext4 -O ^has_journal -d $out/root $out/root.img \
    $((size * 5 / 4 + 64))M
$sudo chmod a+r $out/root.img

# The first half is read, the second written.
[ -f $out/disk.img ] || {
    head -c 256M /dev/urandom > $out/disk.part
    head -c 256M /dev/zero >> $out/disk.part
    mv $out/disk.part $out/disk.img
}
$sudo ln -f $out/disk.img $out/root/bench/disk.img

mods=$out/initrd.d/modules
mkdir -p $mods
cp $out/root/bench/run $out/initrd.d/init
version=$(ls build/kernel/lib/modules)
depmod -b build/kernel "$version"
for m in virtio_pci virtio_blk crc32c_generic ext4; do
    modprobe -d "$PWD/build/kernel" -S "$version" --show-depends $m
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' |
    while read -r file; do
        cp "$file" $mods/
        basename "$file" >> $mods/order
    done
(cd $out/initrd.d && find . | LC_ALL=C sort |
    cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -9n > $out/initrd
rm -rf $out/initrd.d
touch $out/done
