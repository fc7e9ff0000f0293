"""Ports of the loopback interface for the demo's pages and broker."""

from __future__ import annotations

import socket

from hil.demo.plan import PlanError


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    return usable_port(0, 0, "port")


def usable_port(wanted: int, usual: int, option: str) -> int:
    """The port asked for, else the usual one, else any; PlanError if the one asked for cannot be used."""
    for port in (wanted,) if wanted else (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError) as refused:
                if wanted:
                    raise PlanError(f"{option}: port {wanted} cannot be used ({refused}); choose another") from None
                continue
            found: int = probe.getsockname()[1]
            return found
    raise PlanError("no free port on 127.0.0.1")
