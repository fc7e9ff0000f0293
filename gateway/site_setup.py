"""`sleepbelt provision setup`: gateway.toml made of a site file, checked as a whole, put in place by renaming."""

from __future__ import annotations

import contextlib
import grp
import os
import platform
import re
import shutil
import stat
from pathlib import Path
from typing import Any

from gateway.config import SITE_TEXT, Config, check_config, load_config, load_raw
from gateway.config_problems import ConfigError, Problem
from gateway.cores.site_changes import changes, removed_beds
from gateway.site_toml import DATA_DIR, as_configuration, configuration_text, located, parse_site, read_text
from protocol.phrase import Phrase

__all__ = ["as_before", "checked_site", "install", "install_bare", "preview", "write_durably"]

PACKAGE_GROUP = "sleepbelt"


def checked_site(text: str, file: Path, target: Path, base: dict[str, Any]) -> dict[str, Any]:
    """What the site file in `text` makes of `base` at `target`; ConfigError with the site file's own lines."""
    site = parse_site(text, file)
    raw = as_configuration(site, base)
    try:
        check_config(target, raw)
    except ConfigError as error:
        raise ConfigError(file, located(error.problems, text, site)) from None
    return raw


def preview(site_file: Path, target: Path) -> list[dict[str, str]]:
    """What `install` would change at `target`, as cores/site_changes says it; ConfigError."""
    before = load_raw(target) if target.exists() else {}
    return changes(before, checked_site(read_text(site_file), site_file, target, _belts_only(before)))


def install(site_file: Path, target: Path, *, replace: bool = False, remove_beds: bool = False) -> Config:
    """Make `target` of the site file; the configuration as it will be read. ConfigError, FileExistsError, OSError.

    Until the last rename nothing has changed; the configuration that was there stays beside it as `.before`. Beds go
    only with `remove_beds`: a file that was cut between two rooms is a smaller site in good order.
    """
    before = load_raw(target) if target.exists() else {}
    raw = checked_site(read_text(site_file), site_file, target, _belts_only(before))
    if before and not replace:
        raise FileExistsError(17, Phrase(
            "there is a configuration already; --replace puts this one in its place"), str(target))
    if (gone := removed_beds(before, raw)) and not remove_beds:
        raise ConfigError(site_file, [Problem(
            "rooms", Phrase("no bed {names}", names=', '.join(gone)), Phrase(
                "was the file copied whole? To remove these beds say --remove-beds"))])
    return _put(target, raw)


def install_bare(target: Path) -> Config:
    """A configuration without beds: a gateway that starts, and takes its site file on the page. FileExistsError."""
    if target.exists():
        raise FileExistsError(17, Phrase(
            "there is a configuration already; give a site file and --replace"), str(target))
    name = re.sub(r"[^A-Za-z0-9._-]", "-", platform.node())[:32] or "gateway"
    return _put(target, {"gateway": {"id": name, "data_dir": DATA_DIR}, "beds": []})


def _put(target: Path, raw: dict[str, Any]) -> Config:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that relative paths in it mean the same, and the rename stays within one file system.
    part = target.with_name(f"{target.name}.part")
    try:
        write_durably(part, configuration_text(raw))
        as_before(part, target)
        if target.exists():
            shutil.copy2(target, target.with_name(f"{target.name}.before"))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    config = load_config(target)
    uploaded = config.gateway.data_dir / SITE_TEXT
    with contextlib.suppress(FileNotFoundError):
        uploaded.replace(uploaded.with_name(f"{SITE_TEXT}.before"))  # this one is newer
    return load_config(target)


def _belts_only(before: dict[str, Any]) -> dict[str, Any]:
    """Of a configuration that gives way to a whole new one: the belts of its beds."""
    return {"beds": before["beds"]} if "beds" in before else {}


def write_durably(part: Path, text: str) -> None:
    """A new file for its owner alone, on the disk when this returns."""
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def as_before(part: Path, target: Path) -> None:
    """Owner and mode of the file that is replaced; a first one may be read by the package's group, else the folder's.

    Root sets up what runs as a user of its own: a file for root alone would keep the gateway from starting.
    """
    known = target if target.exists() else target.parent
    status = known.stat()
    group = status.st_gid
    if known != target:
        with contextlib.suppress(KeyError):
            group = grp.getgrnam(PACKAGE_GROUP).gr_gid
    with contextlib.suppress(PermissionError):
        os.chown(part, status.st_uid if known == target else -1, group)
        part.chmod(stat.S_IMODE(status.st_mode) if known == target else 0o640)
