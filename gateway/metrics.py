"""Counters for /api/stats (JSON) and /metrics (Prometheus), from one list of figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

__all__ = ["metric_routes", "rss_bytes"]

Figures = Mapping[str, int | float]

_HELP = {
    "readings_received": "live reports accepted since the gateway's start",
    "readings_stored": "live reports handed to the store in chunks since the gateway's start",
    "alarms_raised": "leave-bed alarms raised since the gateway's start",
    "beacons": "fresh authentic beacons since the gateway's start",
    "records_received": "records of belts' rings taken since the gateway's start",
    "records_lost": "records that a belt's ring no longer had",
    "rss_bytes": "resident memory of the gateway",
}
_GAUGES = ("rss_bytes", "belts_heard", "beds_alarming", "uptime_s")


def rss_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def metric_routes(figures: Callable[[], Figures]) -> list[Route]:
    """/api/stats and /metrics."""

    async def stats(_: Request) -> Response:
        return JSONResponse(dict(figures()))

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

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Now())
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/api/stats", stats), Route("/metrics", metrics)]
