#!/usr/bin/env bash
# Makes what the comparison needs, once: wrk, a Python environment in $1/venv, and the data of each catalogue named NxD.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
shift
mkdir -p "$target"
if ! command -v wrk >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    (apt-get update -qq && apt-get install -y -qq wrk) >/dev/null
  else
    echo "wrk is needed: install it with your package manager" >&2
    exit 2
  fi
fi
if [ ! -x "$target/venv/bin/uvicorn" ]; then
  python3 -m venv "$target/venv"
  "$target/venv/bin/pip" install -q -r "$here/requirements.txt" # hnswlib is compiled here, for this CPU
fi
for catalogue in "$@"; do
  [ -e "$target/$catalogue/items.jsonl" ] && continue
  rm -rf "$target/$catalogue.partial"
  "$target/venv/bin/python" "$here/make_data.py" "$target/$catalogue.partial" "${catalogue%x*}" "${catalogue#*x}" >&2
  mv "$target/$catalogue.partial" "$target/$catalogue"
done
