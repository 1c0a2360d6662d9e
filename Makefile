# A thin front: meson does the work. `make run` and `make test` need nothing
# but a C compiler, make and root or sudo; they install the rest.
BUILD := build

all: build

setup:
	@tools/setup.sh build

$(BUILD)/build.ninja: | setup
	@meson setup $(BUILD) > $(BUILD).log || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

build: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

# Boots Debian's kernel to a shell in this terminal.
run:
	@tools/setup.sh guest
	@$(MAKE) --no-print-directory build
	@tools/demo-guest.sh
	@echo "Booting. Leave with 'poweroff' in the guest, or Ctrl-A x."
	@$(BUILD)/lodge run --kernel $(BUILD)/guest/vmlinuz \
		--initrd $(BUILD)/guest/initrd --append "console=ttyS0 quiet" \
		-m 512M --no-reboot

# Every test; closes with a line "N passed, N failed".
test:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build
	@tools/demo-guest.sh
	@tools/net-guest.sh
	@tools/kvm-guest.sh
	@tests/run.sh $(BUILD)

# Debian's other kernels, and a Debian on a disk. Once they are prepared,
# `make test` runs these, too.
test-debian:
	@tools/setup.sh debian
	@$(MAKE) --no-print-directory build
	@tools/demo-guest.sh
	@tools/debian-guests.sh
	@meson test -C $(BUILD) --suite debian

# Systems that boot from their own media, also installed on disks. Once they
# are prepared, `make test` runs these, too, but for the installed ones.
test-pc:
	@tools/setup.sh pc
	@$(MAKE) --no-print-directory build
	@tools/pc-guests.sh
	@tools/installed-guests.sh
	@meson test -C $(BUILD) --suite pc --suite installed

# The kvm engine in a nested machine under QEMU's TCG: all of it. `make test`
# has a part.
test-kvm:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build
	@tools/demo-guest.sh
	@tools/kvm-guest.sh
	@meson test -C $(BUILD) --suite kvm --suite nested

# The core without an operating system's headers.
core: build
	@tools/setup.sh build
	@tests/core.sh

# Fixed work natively, under QEMU and under each engine: docs/bench.md.
# ARGS="--only NAME", ARGS=--help
bench:
	@tools/setup.sh bench
	@$(MAKE) --no-print-directory build
	@tools/bench-guest.sh
	@tests/perf/bench.py --lodge $(BUILD)/lodge $(ARGS)

# What a second vCPU is worth.
bench-smp:
	@tools/setup.sh guest
	@$(MAKE) --no-print-directory build
	@tools/demo-guest.sh
	@tests/perf/smp.py --lodge $(BUILD)/lodge $(ARGS)

# Real mode: SeaBIOS, and a boot sector that works.
bench-real:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build
	@tests/perf/real.py --lodge $(BUILD)/lodge $(ARGS)

# The long runs of the instruction fuzzers (the tests have short ones).
fuzz-isa:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build
	@ninja -C $(BUILD) fuzz-isa

# The libFuzzer targets of devices, images and files, one after the other:
# SECONDS each, TARGETS="ahci nvme" for some of them.
SECONDS := 3600
fuzz:
	@tools/setup.sh fuzz
	@tests/fuzz/run.sh $(SECONDS) $(TARGETS)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

# The tests once more under AddressSanitizer and UBSan.
sanitize:
	@tools/setup.sh test
	@test -f build-sanitize/build.ninja || meson setup build-sanitize \
		-Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@ninja -C build-sanitize --quiet
	@tools/demo-guest.sh
	@tools/net-guest.sh
	@LSAN_OPTIONS=suppressions=$(CURDIR)/tests/sanitize.supp \
		tests/run.sh build-sanitize

clean:
	@rm -rf build build-sanitize

.PHONY: all setup build run test test-debian test-pc test-kvm core bench bench-smp bench-real fuzz-isa fuzz format sanitize clean
