"""The outbox of the platform's webhooks: events to tell, and each endpoint's deliveries, in SQL for any database.

An event is written in the transaction that stores what it tells of, whether or not anybody is to be told. Each endpoint
takes those noted since it was first there. A try is claimed by moving its time on: of several workers one sends, and
after one that dies while sending another does, a lease later. So an event is told at least once, always with its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cloud_sync.receiver.hook_events import DEVICE_BACK, DEVICE_LOST, GATEWAY_BACK, GATEWAY_LOST, HookEvent
from cloud_sync.receiver.port import DeliveryRow, HookCount
from cloud_sync.receiver.stores.base import StoreReads
from cloud_sync.receiver.stores.database import Database

__all__ = ["Delivery", "adopt", "claim", "deliveries", "hook_counts", "lost_gateways", "note", "retry", "settle",
           "sweep"]  # fmt: skip

LEASE_MS = 60_000
KEPT_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event to be sent to one endpoint, claimed by us; `tries` counts the one to come."""

    webhook: str
    event_key: str
    event: str
    resident_id: str
    body: str
    tries: int


def note(database: Database, event: HookEvent, now_utc_ms: int) -> None:
    """Keep an event to be told; one that was noted before changes nothing."""
    if database.execute("SELECT 1 FROM webhook_events WHERE event_key = ?", (event.key,)).fetchone():
        return
    found = database.execute(
        "SELECT resident_id FROM assignments JOIN beds USING (bed_id) WHERE gateway = ? AND bed = ? "
        "AND from_utc_ms <= ? AND (to_utc_ms IS NULL OR to_utc_ms > ?)",
        (event.gateway, event.bed, event.utc_ms, event.utc_ms),
    ).fetchone()
    resident_id = found[0] if found else ""
    database.execute(
        "INSERT INTO webhook_events (event_key, event, resident_id, body, noted_utc_ms) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (event.key, event.event, resident_id, event.body(resident_id), now_utc_ms),
    )
    # With nobody to tell, the table must not grow without end either.
    database.execute("DELETE FROM webhook_events WHERE noted_utc_ms < ?", (now_utc_ms - KEPT_MS,))


def adopt(database: Database, webhook: str, events: Sequence[str], now_utc_ms: int, due_utc_ms: int) -> None:
    """Make deliveries, due then, of the endpoint's events that have none; `now` is on the clock of `note`."""
    database.execute("INSERT INTO webhooks VALUES (?, ?) ON CONFLICT DO NOTHING", (webhook, now_utc_ms))
    database.execute(
        "INSERT INTO webhook_deliveries (webhook, event_key, tries, next_utc_ms, error) "
        "SELECT CAST(? AS TEXT), event_key, 0, CAST(? AS BIGINT), '' FROM webhook_events "
        f"WHERE event IN ({', '.join('?' * len(events))}) "
        "AND noted_utc_ms >= (SELECT since_utc_ms FROM webhooks WHERE webhook = ?) "
        "AND NOT EXISTS (SELECT 1 FROM webhook_deliveries AS known "
        "WHERE known.webhook = ? AND known.event_key = webhook_events.event_key) ON CONFLICT DO NOTHING",
        (webhook, due_utc_ms, *events, webhook, webhook),
    )


def claim(database: Database, webhook: str, real_utc_ms: int) -> Delivery | None:
    """The next delivery that is due, ours for LEASE_MS; None: there is none."""
    row = database.execute(
        "SELECT event_key, next_utc_ms, tries, event, resident_id, body FROM webhook_deliveries "
        "JOIN webhook_events USING (event_key) WHERE webhook = ? AND next_utc_ms <= ? "
        "ORDER BY next_utc_ms, noted_utc_ms, event_key LIMIT 1",
        (webhook, real_utc_ms),
    ).fetchone()
    if row is None:
        return None
    key, was_due_ms, tries, event, resident_id, body = row
    taken = database.execute(
        "UPDATE webhook_deliveries SET tries = tries + 1, tried_utc_ms = ?, next_utc_ms = ? "
        "WHERE webhook = ? AND event_key = ? AND next_utc_ms = ?",
        (real_utc_ms, real_utc_ms + LEASE_MS, webhook, key, was_due_ms),
    )
    return Delivery(webhook, key, event, resident_id, body, tries + 1) if taken.rowcount else None


def settle(database: Database, delivery: Delivery, next_utc_ms: int | None, error: str) -> None:
    """What became of a try: `next_utc_ms` None ends the delivery."""
    database.execute(
        "UPDATE webhook_deliveries SET next_utc_ms = ?, error = ? WHERE webhook = ? AND event_key = ?",
        (next_utc_ms, error[:200], delivery.webhook, delivery.event_key),
    )


def retry(database: Database, webhook: str, real_utc_ms: int) -> int:
    """Make all that was given up due once more; how many."""
    return database.execute(
        "UPDATE webhook_deliveries SET next_utc_ms = ?, tries = 0 "
        "WHERE webhook = ? AND next_utc_ms IS NULL AND error <> ''",
        (real_utc_ms, webhook),
    ).rowcount


def sweep(database: Database) -> None:
    """Forget deliveries of events that are no longer kept."""
    database.execute("DELETE FROM webhook_deliveries WHERE event_key NOT IN (SELECT event_key FROM webhook_events)")


def lost_gateways(database: Database) -> dict[str, int]:
    """gateway -> the last it had said, of gateways told of as lost and not yet as back."""
    rows = database.execute(
        "SELECT event_key FROM webhook_events WHERE event IN (?, ?)", (DEVICE_LOST, DEVICE_BACK)
    ).fetchall()
    keys = {key for (key,) in rows}
    found: dict[str, int] = {}
    for key in keys:
        named = key.removeprefix(GATEWAY_LOST)
        if named != key and GATEWAY_BACK + named not in keys:
            gateway, _, heard_ms = named.rpartition(":")
            found[gateway] = max(found.get(gateway, 0), int(heard_ms))
    return found


def hook_counts(store: StoreReads) -> Sequence[HookCount]:
    """How many deliveries of each webhook wait, were delivered, were given up."""
    rows = store.select(
        "SELECT webhook, CASE WHEN next_utc_ms IS NOT NULL THEN 'waiting' WHEN error = '' THEN 'delivered' "
        "ELSE 'given_up' END AS state, count(*) FROM webhook_deliveries GROUP BY webhook, state ORDER BY webhook, state"
    )
    return [HookCount(*row) for row in rows]


def deliveries(store: StoreReads, limit: int) -> Sequence[DeliveryRow]:
    """The delivery log: what waits first, then the latest tries."""
    rows = store.select(
        "SELECT webhook, event_key, event, tries, tried_utc_ms, next_utc_ms, error FROM webhook_deliveries "
        "JOIN webhook_events USING (event_key) ORDER BY next_utc_ms IS NULL, coalesce(tried_utc_ms, 0) DESC, event_key "
        "LIMIT ?",
        limit,
    )
    return [DeliveryRow(*row) for row in rows]
