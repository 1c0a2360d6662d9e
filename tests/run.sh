#!/bin/sh
# Runs every test of a build folder and sums up: tests/run.sh BUILD
# Status 1 if any failed. A test that cannot run here says why and is skipped.
set -u
build=$1
log=$build/meson-logs/tests.txt
mkdir -p "$build/meson-logs"
tests/core.sh "$build" > "$log" 2>&1
core=$?
[ $core = 0 ] || cat "$log"
tests/includes.sh
includes=$?
meson test -C "$build" --no-rebuild --print-errorlogs --no-suite installed \
    --no-suite nested 2>&1 | tee "$log"
count() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" "$log" | tail -n 1; }
passed=$(count Ok); failed=$(count Fail); timeout=$(count Timeout)
skipped=$(count Skipped); unexpected=$(count 'Unexpected Pass')
passed=${passed:-0}
failed=$(( ${failed:-0} + ${timeout:-0} + ${unexpected:-0} ))
for result in $core $includes; do
    if [ "$result" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
[ "${skipped:-0}" = 0 ] || echo "$skipped skipped: the log says why"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 2 ]
