#!/usr/bin/env bash
# Builds the wheel and tries it in an environment that holds nothing but it and its locked run-time dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf dist build/wheel-env
.venv/bin/python -m build --wheel --no-isolation --outdir dist . >build/wheel.log 2>&1 || { tail -20 build/wheel.log; exit 1; }
python3 -m venv build/wheel-env
build/wheel-env/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/runtime.lock
build/wheel-env/bin/python -m pip install -q --disable-pip-version-check --no-deps dist/sleepbelt-*.whl
work=$(mktemp -d)
trap 'rm -rf "$work" build/wheel-env' EXIT
cp -r tests/scenarios "$work/scenarios"
root=$PWD
cd "$work"
"$root/build/wheel-env/bin/sleepbelt" --version
"$root/build/wheel-env/bin/sleepbelt" --help >/dev/null
"$root/build/wheel-env/bin/sleepbelt" replay --json scenarios/leave_bed >replay.txt
echo "wheel: $(grep -c '"ok": *true' replay.txt) scenarios replayed by the installed wheel, without the source tree"
"$root/build/wheel-env/bin/sleepbelt" run --check --config "$root/docs/sleepbelt.sample.toml"
"$root/build/wheel-env/bin/sleepbelt" receiver --help >/dev/null
# What only emulation needs is absent here, and the command says so instead of failing with a traceback.
"$root/build/wheel-env/bin/sleepbelt" demo 2>message.txt && exit 1
grep -q "sleepbelt\[hil\]" message.txt
echo "wheel: ok ($(du -h "$root"/dist/*.whl | cut -f1))"
