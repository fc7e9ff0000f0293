#!/usr/bin/env bash
# Makes everything `make demo` and `make test` need, from a bare Debian 12 or Raspberry Pi OS: system packages by apt where
# they are missing and permitted, .venv from the lock file, MicroPython for wasm32. Usage: tools/setup.sh demo|test|hil|foreign|deb|appliance
# Done steps leave a stamp with the hash of what they came from, so that a second call takes no time.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-demo}
mkdir -p build

say() { printf 'setup: %s\n' "$*"; }

apt_install() {
  if [ "$(id -u)" = 0 ]; then sudo=(); elif sudo -n true 2>/dev/null; then sudo=(sudo -n); else
    say "missing: $* - install them with: sudo apt-get install $*" >&2
    exit 1
  fi
  say "installing with apt: $*"
  if ! DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "$@" >build/apt.log 2>&1; then
    "${sudo[@]}" apt-get update -qq >>build/apt.log 2>&1
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "$@" >>build/apt.log 2>&1 || {
      tail -20 build/apt.log >&2
      say "apt failed; see build/apt.log" >&2
      exit 1
    }
  fi
}

python=${PYTHON:-python3}
missing=()
command -v "$python" >/dev/null || missing+=(python3)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ "$purpose" = test ]; then
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  [ -x /usr/sbin/mosquitto ] || command -v mosquitto >/dev/null || missing+=(mosquitto)
  compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || missing+=(postgresql)
  # What judges the appliance's units.
  command -v systemd-analyze >/dev/null || missing+=(systemd)
  command -v dbus-daemon >/dev/null || missing+=(dbus)
  [ -x /usr/bin/chromium ] || missing+=(chromium)
  # What drives the browser is a program that a bare system lacks a library for.
  compgen -G "/usr/lib/*/libatomic.so.1" >/dev/null || missing+=(libatomic1)
  [ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ] || missing+=(fonts-noto-cjk)
fi
if [ "$purpose" = foreign ]; then
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
fi
if [ "$purpose" = deb ] || [ "$purpose" = appliance ]; then
  command -v lintian >/dev/null || missing+=(lintian)
fi
if [ "$purpose" = appliance ]; then
  command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
  command -v mke2fs >/dev/null || [ -x /sbin/mke2fs ] || missing+=(e2fsprogs)
fi
if [ "$purpose" = hil ] || [ "$purpose" = foreign ] || [ "$purpose" = appliance ]; then
  # The box runs this machine's own bluetoothd and dbus-daemon on Debian's kernel, which hil/radio/box_build.py fetches.
  command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
  [ -x /usr/libexec/bluetooth/bluetoothd ] || missing+=(bluez)
  command -v dbus-daemon >/dev/null || missing+=(dbus)
  command -v socat >/dev/null || missing+=(socat)
  command -v busybox >/dev/null || missing+=(busybox-static)
fi
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  say "needs Python 3.11 or newer, found $("$python" --version); set PYTHON=/path/to/python3.11" >&2
  exit 1
}

stamp() { cat "$@" | sha256sum | cut -d' ' -f1; }

want=$(stamp requirements/dev.lock pyproject.toml)
if [ "$(cat .venv/.sleepbelt-stamp 2>/dev/null)" != "$want" ]; then
  [ -x .venv/bin/python ] || { say "making .venv"; "$python" -m venv .venv; }
  say "installing the locked packages into .venv (a few minutes the first time)"
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
  echo "$want" >.venv/.sleepbelt-stamp
fi

if [ "$purpose" = test ]; then
  # MicroPython for wasm32, a decoder of the cloud batch in another language, the accessibility rules.
  for tool in wasm node_decoder axe; do
    folder=build/${tool//_/-}
    want=$(stamp "tools/$tool/package-lock.json")
    if [ "$(cat "$folder/stamp" 2>/dev/null)" != "$want" ]; then
      say "installing the locked npm packages of tools/$tool"
      mkdir -p "$folder"
      cp "tools/$tool/package.json" "tools/$tool/package-lock.json" "tools/$tool/.npmrc" "$folder/"
      npm ci --silent --prefix "$folder"
      echo "$want" >"$folder/stamp"
    fi
  done
  for port in rp2 esp32; do
    want=$(stamp "requirements/stubs-$port.lock")
    if [ "$(cat "typings/$port/.stamp" 2>/dev/null)" != "$want" ]; then
      say "installing the board stubs of $port"
      rm -rf "typings/$port"
      .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes --target "typings/$port" \
        -r "requirements/stubs-$port.lock"
      echo "$want" >"typings/$port/.stamp"
    fi
  done
fi
if [ "$purpose" = foreign ]; then
  # Programs of others have an environment of their own: what they pin must not decide what the gateway runs with.
  want=$(stamp tools/foreign/requirements.lock tools/foreign/package-lock.json)
  if [ "$(cat build/foreign/stamp 2>/dev/null)" != "$want" ]; then
    say "installing the locked foreign clients into build/foreign"
    rm -rf build/foreign
    "$python" -m venv build/foreign
    build/foreign/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r tools/foreign/requirements.lock
    cp tools/foreign/package.json tools/foreign/package-lock.json tools/foreign/.npmrc build/foreign/
    npm ci --silent --prefix build/foreign
    echo "$want" >build/foreign/stamp
  fi
fi
say "ready ($purpose)"
