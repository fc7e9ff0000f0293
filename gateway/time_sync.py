"""Asks systemd-timedated whether wall time is synchronised, for a process that may not ask the kernel itself.

The service's sandbox refuses adjtimex (one can set the clock with it), and systemd-timesyncd's own sign is missing
where chrony or ntpsec keep the time; NTPSynchronized is what the kernel says, whoever keeps it
(org.freedesktop.timedate1(5)).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.clock import GatewayClock

__all__ = ["ASK_EVERY_S", "ntp_synchronized", "watch_time"]

ASK_EVERY_S = 10.0
CALL_S = 5.0


async def watch_time(clock: GatewayClock, ask: Callable[[], Awaitable[bool]] | None = None) -> None:
    """Until wall time is trusted, which lasts until the next boot (rule 18); then it ends."""
    while not clock.trusted():
        if await (ask or ntp_synchronized)():
            clock.believe()
            return
        await asyncio.sleep(ASK_EVERY_S)


async def ntp_synchronized() -> bool:
    """What timedated says; False where it cannot be asked."""
    from bleak.backends.bluezdbus.utils import get_dbus_authenticator
    from dbus_fast import AuthError, BusType, DBusError, Message, MessageType
    from dbus_fast.aio import MessageBus

    name = "org.freedesktop.timedate1"
    ask = Message(
        destination=name, path="/org/freedesktop/timedate1", interface="org.freedesktop.DBus.Properties",
        member="Get", signature="ss", body=[name, "NTPSynchronized"],
    )  # fmt: skip
    bus = MessageBus(bus_type=BusType.SYSTEM, auth=get_dbus_authenticator())
    try:
        async with asyncio.timeout(CALL_S):
            await bus.connect()
            answer = await bus.call(ask)
    except (AuthError, DBusError, OSError, EOFError, TimeoutError):
        return False
    finally:
        bus.disconnect()
    return answer is not None and answer.message_type is MessageType.METHOD_RETURN and bool(answer.body[0].value)
