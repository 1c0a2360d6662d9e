#!/bin/sh
# Who may include whom (docs/tour.md, "Layers"): every #include "…" of a layer
# must be of a layer that it may see.
set -u
may() {
    case "$1" in
    base) echo "base" ;;
    include) echo "base lodge" ;;
    x86) echo "base lodge x86" ;;
    hw) echo "base lodge hw" ;;
    image) echo "base lodge image" ;;
    host) echo "base lodge host" ;;
    engine) echo "base lodge x86 engine" ;;
    vm) echo "base lodge x86 vm" ;;
    machine) echo "base lodge x86 vm hw machine" ;;
    esac
}
failed=0
for layer in base include x86 hw image host engine vm machine; do
    allowed=$(may $layer)
    for f in $(git ls-files "$layer/*.c" "$layer/*.h"); do
        for inc in $(sed -n 's/^# *include "\([^"]*\)\/[^"]*".*/\1/p' "$f"); do
            top=${inc%%/*}
            case " $allowed " in
            *" $top "*) ;;
            *) echo "$f: a file of $layer/ must not include $inc/"; failed=1 ;;
            esac
        done
    done
done
[ $failed = 0 ] && echo "includes: layers hold"
exit $failed
