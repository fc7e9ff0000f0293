"""What went wrong and what to do, in the reader's language, for the page and for the command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cloud_sync.pages.language import Strings
from cloud_sync.words import Words
from gateway.provision_error import ProvisionError
from gateway.site_toml import site_key
from protocol.phrase import Phrase

__all__ = ["change_text", "explain", "point_text", "points_text", "survey_text"]


def explain(t: Strings, error: ProvisionError) -> str:
    """The problem and the next step in one text."""
    said = Words(t.language)
    values = {name: said(value) if isinstance(value, Phrase) else value
              for name, value in {"belt": "?", "status": "?", **error.values}.items()}  # fmt: skip
    if "part" in values:
        values["part"] = t(f"provision.part_{values['part']}")
    key = f"provision_error.{error.code}"
    try:
        return t(key, **values)
    except KeyError:
        return f"{error.code} {error.values or ''}".strip()


def change_text(t: Strings, change: Mapping[str, str]) -> str:
    """One change of a new configuration."""
    values = {name: site_key(value) if name == "key" else value for name, value in change.items() if name != "change"}
    return t(f"site_change.{change['change']}", **values)


def point_text(t: Strings, point: str) -> str:
    """A place from which an alarm can be answered."""
    kind, _, name = point.partition(":")
    return t("walk_point.button", name=name) if kind == "button" else t.code("walk_point", point)


def points_text(t: Strings, points: Iterable[str]) -> str:
    """Several of them, one behind the other."""
    return ", ".join(point_text(t, point) for point in points)


def survey_text(t: Strings, row: Mapping[str, Any]) -> str:
    """One bed of a survey: verdict, figures, what to do."""
    parts = [t(f"survey_verdict.{row['verdict']}")]
    if row["rssi_dbm_median"] is not None:
        parts.append(t("provision.dbm", rssi=round(row["rssi_dbm_median"])))
    parts.append(t("provision.survey_share", share=round(100 * row["heard_share"])))
    advice = " ".join(t(f"survey_advice.{name}") for name in row["advice"])
    return f"{row['bed']}: {', '.join(parts)}. {advice}".strip()
