"""Counters for /api/stats (JSON) and /metrics (Prometheus), from one list of figures; /api/health beside them.

They answer this machine alone: what watches a gateway runs beside it, and the home's network learns nothing from them.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.cores.air import BeltAir
from gateway.cores.health import Verdict

__all__ = ["metric_routes", "rss_bytes"]

Figures = Mapping[str, int | float]
Air = Mapping[bytes, BeltAir]

_HELP = {
    "readings_received": "live reports accepted since the gateway's start",
    "readings_stored": "live reports that the store has committed since the gateway's start",
    "alarms_raised": "leave-bed alarms raised since the gateway's start",
    "beacons": "fresh authentic beacons since the gateway's start",
    "records_received": "records of belts' rings taken since the gateway's start",
    "records_lost": "records that a belt's ring no longer had",
    "rss_bytes": "resident memory of the gateway",
    "healthy": "1 while readings pass through the rules and nothing is degraded",
    "clock_trusted": "1 once wall time was synchronised since boot",
    "store_failing": "1 while the store cannot commit: nothing is acknowledged to belts meanwhile",
    "disk_free_bytes": "free space where the gateway's store is",
    "belts_heard": "belts heard at present",
    "beds_open": "beds with an alarm or an absence open",
    "beds_alarming": "beds with an unacknowledged alarm",
    "belts_update_due": "belts that still wait for the firmware that is being rolled out",
    "belts_update_done": "belts that run the firmware that is being rolled out",
    "belts_update_failed": "belts whose update was given up",
}
_GAUGES = (
    "rss_bytes", "belts_heard", "beds_alarming", "beds_open", "uptime_s", "healthy", "clock_trusted", "disk_free_bytes",
    "store_failing",
    "belts_update_due", "belts_update_done", "belts_update_failed",
)  # fmt: skip


def rss_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


_BELT_HELP = {
    "rssi_dbm": "strength at which a belt's beacons are heard, smoothed",
    "beacon_loss_percent": "beacons of the last minute that were not heard",
    "age_s": "seconds since a belt was last heard",
}


def metric_routes(
    figures: Callable[[], Figures], verdict: Callable[[], Verdict], air: Callable[[], Air] = dict
) -> list[Route]:
    """/api/stats, /api/health (503 unless the state is ok or starting) and /metrics, the latter also for each belt."""

    async def stats(_: Request) -> Response:
        return JSONResponse(dict(figures()))

    async def health(_: Request) -> Response:
        now = verdict()
        said = {"state": now.state, "reasons": list(now.reasons), "status": now.status}
        return JSONResponse(said, 200 if now.state in ("ok", "starting") else 503)

    async def metrics(_: Request) -> Response:
        # Only a gateway that somebody scrapes pays for the library.
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
        from prometheus_client.registry import Collector

        class Now(Collector):
            def collect(self) -> Iterator[Metric]:
                for name, value in figures().items():
                    family = GaugeMetricFamily if name in _GAUGES else CounterMetricFamily
                    yield family(f"sleepbelt_{name}", _HELP.get(name, name.replace("_", " ")), value=float(value))
                heard = air()
                for name, text in _BELT_HELP.items():
                    belts = GaugeMetricFamily(f"sleepbelt_belt_{name}", text, labels=["belt"])
                    for serial, belt in heard.items():
                        if (figure := getattr(belt, name)) is not None:
                            belts.add_metric([serial.hex()], float(figure))
                    if belts.samples:
                        yield belts

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Now())
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    handlers = {"/api/stats": stats, "/api/health": health, "/metrics": metrics}
    return [Route(path, _local(handler)) for path, handler in handlers.items()]


def _local(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if request.client is None or not _is_loopback(request.client.host):
            return JSONResponse({"error": "local_only", "message": "answered on this machine alone"}, 403)
        return await handler(request)

    return answer


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
