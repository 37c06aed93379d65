#!/bin/sh
# Compiles what is to be covered with what cargo-fuzz passes for `--sanitizer none`, and all else as it is: curve arithmetic has
# nothing to tell a fuzzer, and slows it down.
rustc=$1
shift
case "${CARGO_PKG_NAME:-} $*" in
  *build_script_build*) exec "$rustc" "$@" ;;
  rookery-* | serde_json\ *)
    exec "$rustc" "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
      -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
  *) exec "$rustc" "$@" ;;
esac
