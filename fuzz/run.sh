#!/usr/bin/env bash
# Builds the fuzz targets and runs them, two at a time. One line for each; the first that crashes, hangs or takes too much
# memory fails the run, and how to repeat it is printed.
#
#   fuzz/run.sh                          every target for a minute
#   fuzz/run.sh --seconds 600 cbor car   some of them for ten
#   fuzz/run.sh --repeat FILE cbor       one input
#   fuzz/run.sh --minimise               the smallest set of inputs that covers as much, in place of the seeds
#
# Stable Rust and a C++ compiler (for libFuzzer) are enough: coverage comes from flags that stable takes (rustc.sh), and no
# sanitizer is used, since nothing here is unsafe. What is found along the way is kept under target/, beside the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=60 repeat='' minimise='' targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2 && shift 2 ;;
    --repeat) repeat=$(realpath "$2") && shift 2 ;;
    --minimise) minimise=yes && shift ;;
    -*) echo "unknown option $1" >&2 && exit 2 ;;
    *) targets+=("$1") && shift ;;
  esac
done
if [ ${#targets[@]} -eq 0 ]; then
  for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

host=$(rustc -vV | sed -n 's/^host: //p')
out=${ROOKERY_FUZZ_DIR:-$(pwd)/target}
mkdir -p "$out"
export RUSTC_WRAPPER=$PWD/rustc.sh
cargo build --locked --release --target "$host" --target-dir "$out" $(printf -- '--bin %s ' "${targets[@]}")
programs=$out/$host/release

# Ten seconds or a gigabyte for one input of a few kilobytes is a find as much as a crash is.
limits=(-timeout=10 -rss_limit_mb=1024 -max_len=4096)

if [ -n "$repeat" ]; then
  exec "$programs/${targets[0]}" "${limits[@]}" "$repeat"
fi

one() {
  local target=$1 corpus=$out/corpus/$1 finds=$out/finds/$1 log=$out/$1.log
  mkdir -p "$corpus" "$finds"
  if ! "$programs/$target" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$finds/" \
    "$corpus" "seeds/$target" >"$log" 2>&1; then
    tail -n 60 "$log"
    local find
    find=$(sed -n 's/^.*Test unit written to //p' "$log" | tail -n 1)
    printf '%s: FAILED. Repeat with: fuzz/run.sh --repeat %s %s\n' "$target" "${find:-an input in $finds}" "$target"
    return 1
  fi
  local executions coverage
  executions=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
  coverage=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)
  printf '%-10s %10s executions, %s, %s inputs, %s s\n' "$target" "$executions" "$coverage" \
    "$(find "$corpus" -type f | wc -l)" "$seconds"
}

# The seeds that the targets start from; small ones are kept, and few.
smaller() {
  local target=$1 new
  new=$(mktemp -d)
  "$programs/$target" "${limits[@]}" -merge=1 -set_cover_merge=1 "$new" "seeds/$target" "$out/corpus/$target" >"$out/$target.log" 2>&1
  rm -rf "seeds/$target" && mv "$new" "seeds/$target"
  printf '%-10s %s seeds, %s bytes\n' "$target" "$(find "seeds/$target" -type f | wc -l)" "$(du -sb "seeds/$target" | cut -f 1)"
}

if [ -n "$minimise" ]; then
  for target in "${targets[@]}"; do smaller "$target"; done
  exit
fi

running=0 failed=0
for target in "${targets[@]}"; do
  if [ "$running" -eq 2 ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  one "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit "$failed"
