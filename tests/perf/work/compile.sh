# gcc, driver to assembly, over some of these programs.
for f in sha256 disk nbody bytecode; do
    gcc -O2 -S -o - /bench/src/$f.c || exit 1
done
