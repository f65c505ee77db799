#!/bin/bash
# Builds the guests of bench/guests from their C sources. The ELFs are committed, so only a change of a source needs it.
# Usage: build_guests.sh [FOLDER]; without one, the files of bench/guests are replaced.
# The compiler is Debian 12's: apt-get install gcc-riscv64-unknown-elf
set -euo pipefail
SOURCES=$(dirname "$(realpath "$0")")/guests
OUT=$(realpath "${1:-$SOURCES}")
cd "$SOURCES"

# Calls stay calls at their ends too: what fib measures is calls and returns.
FLAGS=(-Wall -Werror -O2 -fno-optimize-sibling-calls -fno-tree-loop-distribute-patterns -mcmodel=medany
  -ffreestanding -nostdlib -static -DP_VIRT -DMMODE -Wl,--build-id=none -T bare.ld)

# compile ELF FLAGS-AND-SOURCES...
compile() {
  riscv64-unknown-elf-gcc "${FLAGS[@]}" "${@:2}" -lgcc -o "$OUT/$1"
  # The names of the compiler's temporary files would make every build differ.
  riscv64-unknown-elf-strip --wildcard --strip-symbol='cc*.o' "$OUT/$1"
  chmod 644 "$OUT/$1"
}

RV32=(-march=rv32ima_zicsr -mabi=ilp32)
RV64=(-march=rv64imac_zicsr -mabi=lp64)

# virt32-{fib,sha256,sieve} and virt64-* (rv64gc) were given; with these flags the compiler makes the same instructions.
for scale in 1 10; do
  for program in dhry core; do
    compile "virt32-$program-$scale.elf" "${RV32[@]}" -DSCALE="$scale" crt.S "b_$program.c" plat.c
  done
  for program in fib sha256 sieve dhry core; do
    compile "virt64i-$program-$scale.elf" "${RV64[@]}" -DSCALE="$scale" crt.S "b_$program.c" plat.c
  done
done

# Ends at once: what it costs to start a machine.
compile virt32-exit.elf "${RV32[@]}" exit.S
compile virt64i-exit.elf "${RV64[@]}" exit.S

# What accesses to memory cost.
compile virt64i-access.elf "${RV64[@]}" access.S
