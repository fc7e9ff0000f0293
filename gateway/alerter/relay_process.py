"""The relay's own small process: holds the contact while the gateway's heartbeats come, and lets it go when they stop.

Apart from the gateway, so that whatever happens to that (killed, hanging, out of memory) opens the contact. Its link is
a Unix packet socket: inherited from the gateway that started it (--fd; it ends with that gateway), or one that it
serves itself as a unit of its own (--socket; it outlives gateways and waits for the next). It imports almost nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import stat
import sys
import time

from gateway.alerter.serial_contact import SerialContact
from gateway.cores.relay import RelayCore, answer, read_beat

__all__ = ["main", "serve"]

PULSE_MS = 500
PACKET_MAX = 64


def main(argv: list[str] | None = None) -> int:
    """Run until the gateway is gone (--fd) or SIGTERM; 0 ended in order, 1 no pin or no socket, 2 bad arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.alerter.relay_process",
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python -m gateway.alerter.relay_process --pin 22 --socket /run/sleepbelt/relay.sock",
    )
    drive = parser.add_mutually_exclusive_group(required=True)
    drive.add_argument("--pin", type=int, help="BCM number of the pin that drives the relay")
    drive.add_argument("--serial", help="serial port whose DTR and RTS drive the relay")
    parser.add_argument("--mode", choices=("call", "fault"), default="call", help="call: an alarm opens the contact")
    parser.add_argument("--active-low", action="store_true", help="the relay board energises on a low level")
    parser.add_argument("--pulse-pin", type=int, help="pulses while energised, for an external retriggerable timer")
    parser.add_argument("--mock", action="store_true", help="touch no GPIO")
    link = parser.add_mutually_exclusive_group(required=True)
    link.add_argument("--fd", type=int, help="an inherited packet socket")
    link.add_argument("--socket", help="path of the socket to serve")
    arguments = parser.parse_args(argv)
    # Ctrl-C is meant for the gateway; the relay goes when that has gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    try:
        contact: Contact | SerialContact
        if arguments.serial is not None:
            contact = SerialContact(arguments.serial)
        else:
            contact = Contact(arguments.pin, arguments.active_low, arguments.pulse_pin, arguments.mock)
        if arguments.fd is not None:
            serve(RelayCore(arguments.mode == "call"), contact, None, socket.socket(fileno=arguments.fd))
        else:
            serve(RelayCore(arguments.mode == "call"), contact, _listen(arguments.socket), None)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"relay: {error}", file=sys.stderr)
        return 1
    return 0


class Contact:
    """The relay's pin and the one that pulses while it is energised; OSError or RuntimeError without such pins."""

    def __init__(self, pin: int, active_low: bool, pulse_pin: int | None, mock: bool, factory: object = None) -> None:
        from gpiozero import GPIOZeroError, OutputDevice

        try:
            if mock and factory is None:
                from gpiozero.pins.mock import MockFactory

                factory = MockFactory()
            self._relay = OutputDevice(pin, active_high=not active_low, initial_value=False, pin_factory=factory)
            self._pulse = None if pulse_pin is None else OutputDevice(pulse_pin, pin_factory=factory)
        except GPIOZeroError as error:
            # Some pin errors of the library are no RuntimeErrors.
            raise OSError(f"pin {pin}: {error}") from error

    def hold(self, energised: bool) -> None:
        """Energise or let go; the pulse ends with the contact."""
        self._relay.value = energised
        if self._pulse is not None and not energised:
            self._pulse.off()

    def pulse(self) -> None:
        """One edge for the external timer."""
        if self._pulse is not None:
            self._pulse.toggle()

    @property
    def energised(self) -> bool:
        """What the pin shows, read back."""
        return bool(self._relay.value)

    def close(self) -> None:
        """Let go and give the pins back."""
        self.hold(False)
        self._relay.close()
        if self._pulse is not None:
            self._pulse.close()


def serve(
    core: RelayCore,
    contact: Contact | SerialContact,
    listener: socket.socket | None,
    link: socket.socket | None,
) -> None:
    """Drive the contact by the beats of `link`; with a `listener` wait for the next link, without one end with this."""
    shown = None
    pulse_ms = 0
    try:
        while True:
            now_ms = _now_ms()
            energised = core.energised(now_ms)
            if energised != contact.energised or shown is None:
                contact.hold(energised)
            if energised != shown:
                shown = energised
                _say("energised" if energised else f"open: {core.why_open(now_ms)}")
            if link is None and listener is None:
                return
            if energised and now_ms >= pulse_ms:
                contact.pulse()
                pulse_ms = now_ms + PULSE_MS
            due_ms = core.next_deadline_ms(now_ms)
            wake_ms = min(due_ms if due_ms is not None else now_ms + 1000, pulse_ms if energised else now_ms + 1000)
            sources = [source for source in (listener, link) if source is not None]
            ready, _, _ = select.select(sources, [], [], max(0.0, (wake_ms - now_ms) / 1000))
            if listener is not None and listener in ready:
                link = _accept(listener, link)
            elif link is not None and link in ready:
                link = _take(core, contact, link, listener is not None)
    finally:
        contact.close()


def _take(core: RelayCore, contact: Contact | SerialContact, link: socket.socket, served: bool) -> socket.socket | None:
    """One packet of the link; None once it is closed."""
    try:
        packet = link.recv(PACKET_MAX)
    except ConnectionError:
        packet = b""
    if not packet:
        link.close()
        if not served:
            core.lost()
        # Served: a gateway that restarts quickly is no call for staff; the missing heartbeats tell.
        return None
    beat = read_beat(packet)
    if beat is None:
        return link
    number, call, test = beat
    now_ms = _now_ms()
    core.beat(now_ms, call, test)
    contact.hold(core.energised(now_ms))
    with contextlib.suppress(OSError):
        # Not waited for: a gateway that does not read its answers must not stop the relay.
        link.send(answer(number, contact.energised), socket.MSG_DONTWAIT)
    return link


def _accept(listener: socket.socket, link: socket.socket | None) -> socket.socket:
    """The newest gateway counts: an older link may be one that hangs."""
    if link is not None:
        link.close()
    return listener.accept()[0]


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        os.unlink(path)  # left behind by a relay process that was killed
    # Who may write here holds the contact: the gateway's user and group, nobody else.
    mask = os.umask(0o117)
    try:
        listener.bind(path)
    except OSError as error:
        raise OSError(f"{path}: {error.strerror}") from error
    finally:
        os.umask(mask)
    listener.listen(4)
    return listener


def _say(text: str) -> None:
    # The log's reader may have died with the gateway; the contact matters more.
    with contextlib.suppress(OSError):
        print(f"relay: {text}", file=sys.stderr, flush=True)


def _end(*_: object) -> None:
    raise SystemExit(0)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(main())
