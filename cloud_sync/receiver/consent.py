"""What a night report still tells where consent was withdrawn for when somebody was in and out of bed. Pure.

Reports are a class of their own (forgetting.NIGHTS), which withholds them whole. Where only presence is withheld, sleep
and the averages stay, and what tells of the bed goes.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from cloud_sync.receiver.home_reads import Night
from cloud_sync.receiver.port import NightCard
from cloud_sync.receiver.stores.forgetting import PRESENCE

__all__ = ["OF_PRESENCE", "card_shown", "hidden_fields", "night_shown"]

OF_PRESENCE = frozenset({
    "in_bed_at", "rise_at", "times_out_of_bed", "out_of_bed_total_s", "out_of_bed_longest_s", "assisted_exits",
    "alarms", "timeline",
})  # fmt: skip
"""Fields of a report that tell when somebody was in bed or left it, and the alarms of it."""


def hidden_fields(withheld: Collection[str]) -> frozenset[str]:
    """The fields of a report that are not shown."""
    return OF_PRESENCE if PRESENCE in withheld else frozenset()


def card_shown(card: NightCard | None, withheld: Collection[str]) -> NightCard | None:
    """The card without what is withheld."""
    return replace(card, times_out=None) if card is not None and PRESENCE in withheld else card


def night_shown(night: Night, withheld: Collection[str]) -> Night:
    """The night without what is withheld: null, and no timeline."""
    hidden = hidden_fields(withheld)
    fields = night.report.get("night", night.report)
    if not hidden or not isinstance(fields, Mapping):
        return night
    told: dict[str, Any] = {name: None if name in hidden else value for name, value in fields.items()}
    told["timeline"] = []
    if isinstance(told.get("versus_usual"), Mapping):
        told["versus_usual"] = {
            name: None if name in hidden else value for name, value in told["versus_usual"].items()
        }
    card = card_shown(night.card, withheld)
    assert card is not None
    return replace(night, card=card, report=told)
