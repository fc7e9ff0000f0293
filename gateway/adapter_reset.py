"""Takes a Bluetooth adapter down and up: a tiny program apart from the gateway, the only one with CAP_NET_ADMIN.

The gateway writes `hciN` into the request file; systemd's path unit starts this. The request is removed first, so that
a reset that hangs is not asked for twice. Source: hci.h (HCIDEVUP, HCIDEVDOWN).
"""

from __future__ import annotations

import argparse
import fcntl
import re
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["REQUEST_FILE", "ask", "main"]

REQUEST_FILE = "adapter-reset"
HCIDEVUP, HCIDEVDOWN = 0x400448C9, 0x400448CA
DOWN_S = 1.0
DONE, FAILED, BAD_INPUT = 0, 1, 2
_EALREADY = 114
_ADAPTER = re.compile(r"hci(\d{1,3})")


def ask(folder: Path, adapter: str) -> bool:
    """The gateway's side: ask for a reset of `adapter`; False if nobody can be asked here."""
    if not _ADAPTER.fullmatch(adapter):
        raise ValueError(f"{adapter!r} is no adapter such as hci0")
    try:
        part = folder / f"{REQUEST_FILE}.part"
        part.write_text(adapter + "\n", "ascii")
        part.replace(folder / REQUEST_FILE)
    except OSError:
        return False
    return True


def main(argv: Sequence[str] | None = None, control: Callable[[int, int], None] | None = None) -> int:
    """Serve one request; 0 done, 1 the adapter cannot be reset, 2 a request that is none."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.adapter_reset",
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python -m gateway.adapter_reset --request /run/sleepbelt/adapter-reset",
    )
    parser.add_argument("--request", type=Path, required=True, metavar="FILE", help="file that holds hciN")
    request: Path = parser.parse_args(argv).request
    try:
        wanted = request.read_text("ascii").strip()[:32]
        request.unlink()
    except (OSError, UnicodeDecodeError) as error:
        request.unlink(missing_ok=True)
        print(f"adapter-reset: {request}: {error}", file=sys.stderr)
        return BAD_INPUT
    found = _ADAPTER.fullmatch(wanted)
    if found is None:
        print(f"adapter-reset: {request}: found {wanted!r}; allowed: hci0, hci1, ...", file=sys.stderr)
        return BAD_INPUT
    try:
        _reset(int(found[1]), control or _control)
    except OSError as error:
        print(f"adapter-reset: {wanted}: {error.strerror}", file=sys.stderr)
        return FAILED
    print(f"adapter-reset: {wanted} was taken down and up")
    return DONE


def _reset(number: int, control: Callable[[int, int], None]) -> None:
    try:
        control(HCIDEVDOWN, number)
    finally:
        # One that was down already, or that did not go down in order, is taken up all the same.
        time.sleep(DOWN_S)
        try:
            control(HCIDEVUP, number)
        except OSError as error:
            if error.errno != _EALREADY:
                raise


def _control(request: int, number: int) -> None:
    with socket.socket(socket.AF_BLUETOOTH, socket.SOCK_RAW, socket.BTPROTO_HCI) as hci:
        fcntl.ioctl(hci.fileno(), request, number)


if __name__ == "__main__":
    sys.exit(main())
