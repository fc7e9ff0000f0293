"""`sleepbelt replay --from-store BED DATE`: a stored night judged again, by its own settings or another profile's."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cloud_sync.words import Words
from gateway.cores.effects import WATCHED_BY_DEFAULT, Effect
from gateway.cores.explain import explain
from gateway.cores.profile import DEFAULT_TIMEZONE, SHIPPED, Profile
from gateway.cores.scenario import log_line
from protocol.phrase import Phrase

__all__ = ["STORES", "StoreInputError", "replay_from_store"]

STORES = ("data", "/var/lib/sleepbelt")

_NOTHING = Phrase("nothing at all")


class StoreInputError(ValueError):
    """A night that cannot be replayed; the message says which and why."""


def replay_from_store(options: argparse.Namespace) -> None:
    """Print what the rules decide on the stored night; StoreInputError."""
    from gateway.past_nights import gather_now, span_of, would_have
    from gateway.store_copy import store_copy
    from gateway.store_files import StoreFiles
    from gateway.store_repair import StoreError

    bed, night = options.from_store[0], _date(options.from_store[1])
    folder = _folder(options.store)
    try:
        # The zone is only known from events.db; the days around the date hold the night in every zone.
        days = [(night + timedelta(days=offset)).strftime("%Y%m%d") for offset in range(-2, 2)]
        with store_copy(folder, days) as copy:
            files = StoreFiles(copy)
            try:
                timezone, profile = _in_force(files.state(), bed, folder)
                past = gather_now(files, bed, night, timezone)
            finally:
                files.close()
    except (StoreError, sqlite3.Error) as error:
        raise StoreInputError(error.args[0]) from None
    if not past.heard_s and not past.log:
        raise StoreInputError(
            Phrase(
                "{folder}: holds nothing of bed {bed} in the night to {isoformat}",
                folder=folder,
                bed=bed,
                isoformat=night.isoformat(),
            )
        )
    if options.profile is not None:
        profile = _shipped(options.profile).merged({"timezone": timezone})
    effects = [effect for effect in would_have(past, profile, timezone) if effect.event in WATCHED_BY_DEFAULT]
    zone = ZoneInfo(timezone)
    happened = [_stored_line(row.utc_ms, row.event, row.detail, zone) for row in past.log
                if row.event in WATCHED_BY_DEFAULT]  # fmt: skip
    start_ms, end_ms = span_of(night, timezone)
    heard = past.heard_s / ((end_ms - start_ms) // 1000)
    _print(options, bed, night, effects, happened, heard, zone)


def _print(
    options: argparse.Namespace, bed: str, night: date, effects: Sequence[Effect], happened: Sequence[str],
    heard: float, zone: ZoneInfo,
) -> None:  # fmt: skip
    lines = [log_line(effect, zone, several_beds=False) for effect in effects]
    if options.json:
        result: dict[str, Any] = {
            "id": f"{bed} {night.isoformat()}", "log": lines, "ok": None, "happened": list(happened),
            "heard_share": round(heard, 3),
        }  # fmt: skip
        if options.explain:
            result["explain"] = [explain(effect, options.lang) for effect in effects]
        print(json.dumps(result, ensure_ascii=False))
        return
    t = Words(options.lang)
    now = Phrase("the settings now in force")
    settings = now if options.profile is None else Phrase("profile {profile}", profile=options.profile)
    print(t(Phrase("bed {bed}, night to {night}, by {settings} (heard {heard} of 24 h):", bed=bed,
                   night=night.isoformat(), settings=settings, heard=f"{heard:.0%}")))  # fmt: skip
    for effect, line in zip(effects, lines, strict=True):
        print(f"  {line}")
        if options.explain:
            print(f"      {explain(effect, options.lang)}")
    if not lines:
        print(f"  {t(_NOTHING)}")
    print(t(Phrase("what was decided then:")))
    for line in happened or [_NOTHING]:
        print(f"  {t(line)}")


def _folder(given: str | None) -> Path:
    if given is not None:
        return Path(given)
    for name in STORES:
        if (Path(name) / "events.db").is_file():
            return Path(name)
    raise StoreInputError(
        Phrase(
            "--store: none of {names} holds a store; give the gateway's data folder", names=", ".join(map(str, STORES))
        )
    )


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise StoreInputError(
            Phrase("--from-store: {text} is no date; write the waking day as 2026-11-24", text=repr(text))
        ) from None


def _shipped(name: str) -> Profile:
    if name not in SHIPPED:
        raise StoreInputError(
            Phrase(
                "--profile: there is no profile {name}; there are: {names}", name=repr(name), names=", ".join(SHIPPED)
            )
        )
    return SHIPPED[name]


def _in_force(state: dict[str, Any] | None, bed: str, folder: Path) -> tuple[str, Profile]:
    """(timezone, the bed's profile) as the gateway last had them."""
    ward = (state or {}).get("ward") or {}
    beds = ward.get("beds", {})
    if bed not in beds:
        known = Phrase("; it knows {names}", names=", ".join(sorted(beds))) if beds else ""
        raise StoreInputError(Phrase("{folder}: knows no bed {bed}{known}", folder=folder, bed=repr(bed), known=known))
    try:
        return str(ward.get("timezone", DEFAULT_TIMEZONE)), Profile.from_state(beds[bed]["profile"])
    except (KeyError, TypeError) as error:
        raise StoreInputError(
            Phrase("{folder}: its state is of another version ({error})", folder=folder, error=error)
        ) from None


def _stored_line(utc_ms: int, event: str, detail: str, zone: ZoneInfo) -> str:
    # Like log_line: never earlier than decided.
    at = datetime.fromtimestamp(-(-utc_ms // 1000), UTC).astimezone(zone)
    return f"{at:%H:%M:%S} {event} {detail}".rstrip()
