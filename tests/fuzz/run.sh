#!/bin/sh
# Runs libFuzzer targets one after the other, under ASan and UBSan:
#   tests/fuzz/run.sh SECONDS [TARGET…]     all targets unless said
# What each has learned stays in build-fuzz/corpus, what it finds and says goes
# to build-fuzz/found. Status 1 if anything was found.
set -eu
seconds=$1
shift
build=build-fuzz
[ -f $build/build.ninja ] || CC=clang meson setup $build -Dfuzz=true \
    -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls fuzz_*.c | sed 's/fuzz_//;s/\.c//')
ninja -C $build --quiet $(printf 'tests/fuzz/fuzz_%s ' "$@")
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
status=0
for target; do
    corpus=$build/corpus/$target found=$build/found/$target
    mkdir -p "$corpus" $build/found
    result='nothing found'
    $build/tests/fuzz/fuzz_"$target" -max_total_time="$seconds" -timeout=60 \
        -print_final_stats=1 -max_len=8192 -artifact_prefix="$found"- \
        "$corpus" tests/fuzz/corpus/"$target" > "$found".log 2>&1 || {
        result="FOUND: $found.log"
        status=1
    }
    runs=$(sed -n 's/.*executed_units: *//p' "$found".log)
    cover=$(grep -o 'cov: [0-9]*' "$found".log | tail -n 1)
    echo "$target: $runs runs, $cover, $result"
done
exit $status
