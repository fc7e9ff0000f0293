"""A site file: the few things only the site knows (gateway, zone, rooms and beds, channels), and what it makes of a
configuration.

    [site]                      [channels]             [[rooms]]
    gateway = "gw-floor2"       buzzer_pin = 17        name = "101"
    timezone = "Asia/Shanghai"  light_pin = 27         beds = ["101-1", "101-2"]
                                                       profile = "standard"     # optional

`[channels]` has the keys of `[alerter]`, `[platform]` those of `[uplink]`; `[[webhooks]]`, `[home_assistant]`,
`[radio]` and `[web]` are as in gateway.toml. Every problem names the line of the site file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.config_problems import ConfigError, Problem
from protocol.phrase import Phrase

__all__ = [
    "DATA_DIR", "SAME_SECTIONS", "as_configuration", "configuration_text", "located", "parse_site", "read_text",
    "site_key",
]  # fmt: skip

SAME_SECTIONS = {"channels": "alerter", "platform": "uplink", "webhooks": "webhooks",
                 "home_assistant": "home_assistant", "radio": "radio", "web": "web"}
"""Section of a site file -> section of gateway.toml."""
SECTIONS = ("site", *SAME_SECTIONS, "rooms")
SITE_KEYS = ("gateway", "timezone", "data_dir", "retention_days")
ROOM_KEYS = ("name", "beds", "profile", "overrides", "night_window")
DATA_DIR = "/var/lib/sleepbelt"
BELT_KEYS = ("serial", "key", "key_file")


def read_text(file: Path) -> str:
    """The file's text; ConfigError if there is none."""
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(file, [Problem(
            "file", Phrase("none"), Phrase("write one; docs/provisioning.md has a sample"))]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, [Problem(
            "file", str(error), Phrase("a readable UTF-8 text file belongs there"))]) from None


def parse_site(text: str, file: Path) -> dict[str, Any]:
    """The site in `text`; ConfigError names each line that is wrong, in a half-written file the last one."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        line = int(at[1]) if at else max(1, len(text.splitlines()))
        raise ConfigError(file, [Problem(
            Phrase("line {line}", line=line), Phrase("not whole or not TOML: {error}", error=error), Phrase(
                "mend the line, or copy the file again: it may be cut"),
        )]) from None  # fmt: skip
    problems = [Problem(name, Phrase("an unknown section"), Phrase("sections are {names}", names=', '.join(SECTIONS)))
                for name in raw if name not in SECTIONS]
    site = raw.get("site")
    if not isinstance(site, dict) or not isinstance(site.get("gateway"), str):
        problems.append(Problem("site.gateway", Phrase("nothing"), Phrase("the gateway's name is required")))
    else:
        problems += [Problem(f"site.{key}", Phrase("an unknown key"), Phrase(
            "keys here are {names}",
            names=', '.join(SITE_KEYS)))
                     for key in site if key not in SITE_KEYS]
    problems += _room_problems(raw.get("rooms"))
    hooks = raw.get("webhooks", [])
    if not isinstance(hooks, list) or not all(isinstance(hook, dict) for hook in hooks):
        problems.append(Problem("webhooks", Phrase("something else"), Phrase("tables [[webhooks]]")))
    for name in SAME_SECTIONS:
        if name != "webhooks" and not isinstance(raw.get(name, {}), dict):
            problems.append(Problem(name, Phrase("something else"), Phrase("a section: [{name}]", name=name)))
    if problems:
        raise ConfigError(file, located(problems, text))
    return raw


def _room_problems(rooms: object) -> list[Problem]:
    if not isinstance(rooms, list) or not rooms:
        return [Problem("rooms", Phrase("nothing"), Phrase("at least one table [[rooms]]; was the file copied whole?"))]
    problems = []
    for number, room in enumerate(rooms):
        beds = room.get("beds") if isinstance(room, dict) else None
        if not isinstance(beds, list) or not beds or not all(isinstance(bed, str) and bed for bed in beds):
            problems.append(Problem(f"rooms[{number}].beds", Phrase("no beds"), Phrase(
                "a list of labels such as [\"101-1\", \"101-2\"]")))
        elif unknown := [key for key in room if key not in ROOM_KEYS]:
            problems.append(Problem(f"rooms[{number}].{unknown[0]}", Phrase("an unknown key"),
                                    Phrase("keys here are {names}", names=', '.join(ROOM_KEYS))))
    return problems


def site_key(key: str) -> str:
    """A configuration's key, such as `alerter.light_pin`, as a site file has it."""
    return _site_path(key, {})


def as_configuration(site: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """gateway.toml's content for a site that `parse_site` has passed.

    `base`: the content that is there already, {} for none. What the site file does not speak of stays as it is there,
    and so do the data folder and the belts that it gives to beds.
    """
    named = {key: value for key, value in site["site"].items() if key != "gateway"}
    if "gateway" in base:
        named["data_dir"] = base["gateway"]["data_dir"]
    made = {**base, "gateway": {"data_dir": DATA_DIR, **base.get("gateway", {}), **named,
                                "id": site["site"]["gateway"]}}
    made |= {ours: site[name] for name, ours in SAME_SECTIONS.items() if name in site}
    belts = {bed.get("label"): {key: bed[key] for key in BELT_KEYS if key in bed} for bed in base.get("beds", ())}
    made["beds"] = [
        {"label": bed, "room": str(room.get("name", "")),
         **{key: room[key] for key in ("profile", "overrides", "night_window") if key in room}, **belts.get(bed, {})}
        for room in site["rooms"] for bed in room["beds"]
    ]  # fmt: skip
    return made


def configuration_text(raw: Mapping[str, Any]) -> str:
    """The content as TOML."""
    lines = ["# Made by `sleepbelt provision setup`; docs/configuration.md explains every key."]
    lists = {name: value for name, value in raw.items() if isinstance(value, list)}
    for name, section in raw.items():
        if name not in lists:
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in section.items())]
    for name, tables in lists.items():
        if not tables:
            lines.insert(1, f"{name} = []")
        for table in tables:
            lines += ["", f"[[{name}]]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


# -- lines -------------------------------------------------------------------------------------------------------------


def located(problems: Sequence[Problem], text: str, site: Mapping[str, Any] | None = None) -> list[Problem]:
    """The problems with the site file's own names and lines; `site`: for those found in what was made of it."""
    names = {} if site is None else _bed_names(site)
    found = []
    for problem in problems:
        path, allowed = problem.path, problem.allowed
        if site is not None:
            path = _site_path(path, names)
            told = _site_path(allowed, names)
            allowed = allowed if told == allowed else told  # what names no key of ours stays in its words
        line = _line_of(text, path)
        found.append(Problem(path if line is None else Phrase("line {line}, {path}", line=line, path=path),
                             problem.found, allowed))  # fmt: skip
    return found


def _bed_names(site: Mapping[str, Any]) -> dict[int, int]:
    """Number of a bed in gateway.toml -> number of its room."""
    rooms = [number for number, room in enumerate(site["rooms"]) for _ in room["beds"]]
    return dict(enumerate(rooms))


def _site_path(text: str, rooms: Mapping[int, int]) -> str:
    def bed(found: re.Match[str]) -> str:
        key = {"label": "beds", "room": "name"}.get(found[2], found[2])
        return f"rooms[{rooms.get(int(found[1]), 0)}].{key}"

    text = re.sub(r"\bbeds\[(\d+)\]\.(\w+)", bed, text)
    text = re.sub(r"^gateway\.id\b", "site.gateway", text)
    text = re.sub(r"^gateway\.", "site.", text)
    return re.sub(r"^(alerter|uplink)\b", lambda found: {"alerter": "channels", "uplink": "platform"}[found[1]], text)


def _line_of(text: str, path: str) -> int | None:
    """Where the key of `path`, such as `rooms[1].beds`, is written; its table's head where it is missing."""
    table, _, rest = path.partition(".")
    key = rest.partition(".")[0].partition("[")[0]
    name, _, number = table.rstrip("]").partition("[")
    seen, inside, head = -1, False, None
    for line_number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w.-]+)\s*\]", line):
            if header[1] == name:
                seen += 1
            inside = header[1].partition(".")[0] == name and (not number or seen == int(number))
            if inside and head is None:
                head = line_number
            if inside and header[1] == f"{name}.{key}":
                return line_number
        elif inside and key and re.match(rf"\s*\"?{re.escape(key)}\"?\s*[=.]", line):
            return line_number
    return head


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        plain = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in plain) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f'{_toml(str(key))} = {_toml(each)}' for key, each in value.items()) + " }"
    return _toml(str(value))
