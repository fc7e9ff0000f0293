"""The receiver's counts in Prometheus' text format. Labels are gateways' labels; no resident and no bed is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cloud_sync.receiver.port import HookCount, PlatformStats

__all__ = ["METRICS_TYPE", "metrics_text"]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "readings": "readings stored",
    "chunks": "chunks of readings stored",
    "alarms": "leave-bed alarms stored",
    "alarm_events": "events of alarms stored",
    "nights": "night reports stored",
    "items": "items committed",
    "duplicates": "items that came again and were stored once",
    "conflicts": "items that came again with another content",
    "quarantined": "messages put into quarantine",
    "missing": "seqs proven missing at present",
}
# What erasing a resident, retention or a late batch can lower is no counter.
_COUNTERS = ("duplicates", "conflicts", "quarantined")


class _Now(Collector):
    def __init__(
        self, stats: PlatformStats, is_connected: bool, is_committing: bool, hooks: Sequence[HookCount]
    ) -> None:
        self._stats, self._is_connected = stats, is_connected
        self._is_committing, self._hooks = is_committing, hooks

    def collect(self) -> Iterator[Metric]:
        for name, text in _HELP.items():
            family = CounterMetricFamily if name in _COUNTERS else GaugeMetricFamily
            yield family(f"sleepbelt_receiver_{name}", text, value=float(getattr(self._stats, name)))
        yield GaugeMetricFamily(
            "sleepbelt_receiver_broker_connected", "1 while batches can arrive", value=float(self._is_connected)
        )
        yield GaugeMetricFamily(
            "sleepbelt_receiver_database_committing", "0 while the database takes nothing: nothing is acknowledged",
            value=float(self._is_committing),
        )  # fmt: skip
        yield from self._webhooks()
        heard = GaugeMetricFamily(
            "sleepbelt_receiver_gateway_heard_timestamp_seconds", "UTC of a gateway's last message", labels=["gateway"]
        )
        for gateway, utc_ms in self._stats.gateways.items():
            heard.add_metric([gateway], utc_ms / 1000)
        yield heard


    def _webhooks(self) -> Iterator[Metric]:
        deliveries = GaugeMetricFamily(
            "sleepbelt_receiver_webhook_deliveries", "deliveries of the last 30 days by what became of them",
            labels=["webhook", "state"],
        )  # fmt: skip
        for one in self._hooks:
            deliveries.add_metric([one.webhook, one.state], one.count)
        yield deliveries


def metrics_text(
    stats: PlatformStats, is_connected: bool, is_committing: bool, hooks: Sequence[HookCount] = ()
) -> bytes:
    """What a scrape is answered with."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now(stats, is_connected, is_committing, hooks))
    return generate_latest(registry)
