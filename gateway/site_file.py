"""`site.json` in the data folder: which belt is at which bed, with its key; written whole or not at all.

A new content goes to a temporary file first, is flushed to the disk, and takes the old one's place by renaming; the one
before it stays as `site.json.last`. So whatever a power cut leaves, one of the two is whole, and a gateway never starts
with half of its beds. Its check sum also finds what a dying SD card returns.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from gateway.cores.provisioning import Site

__all__ = ["SITE_FILE", "SiteFile", "SiteFileError"]

log = logging.getLogger(__name__)

SITE_FILE = "site.json"
LAST_FILE = "site.json.last"
BYTES_MAX = 4_000_000


class SiteFileError(Exception):
    """Neither the file nor the one before it is usable; the text says which, why and what to do."""


class SiteFile:
    """The file of one data folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SITE_FILE
        self._last = folder / LAST_FILE
        self._temporary = folder / f"{SITE_FILE}.part"
        self.trouble = ""
        """What was wrong with the file when it was read, "" if nothing."""

    def load(self, site: Site) -> None:
        """Fill `site` from the file, or from the one before it; SiteFileError if both are damaged."""
        self._temporary.unlink(missing_ok=True)  # half written when the power went; nobody was told that it was done
        problems = []
        for path in (self.path, self._last):
            try:
                site.load(_checked(path))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError) as error:
                problems.append(f"{path}: {error or type(error).__name__}")
                continue
            if path == self._last:
                self.trouble = f"{'; '.join(problems) or f'{self.path} is missing'}; the state before it is used"
                log.error("site: %s; look at every bed on the provisioning page", self.trouble)
            return
        if problems:
            raise SiteFileError(
                f"{'; '.join(problems)}. Bring a backup back (sleepbelt provision restore), or move the file away to "
                "start with the beds of the configuration alone"
            )

    def save(self, state: dict[str, Any]) -> None:
        """`Site.to_state` on the disk when this returns; OSError, with the old content untouched, if it cannot be."""
        body = json.dumps({"sha256": _digest(state), "site": state}, ensure_ascii=False)
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        if self.path.exists():
            beside = self._last.with_name(f"{LAST_FILE}.part")
            beside.unlink(missing_ok=True)
            os.link(self.path, beside)
            beside.replace(self._last)
        self._temporary.replace(self.path)
        with contextlib.suppress(OSError):  # some file systems cannot flush a folder
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _checked(path: Path) -> dict[str, Any]:
    """The site of a file; ValueError if it is not whole."""
    with path.open("rb") as file:
        content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise ValueError("longer than any site")
    try:
        whole = json.loads(content)
    except ValueError as error:
        raise ValueError(f"not whole ({error})") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("site"), dict):
        raise ValueError("not a site")
    site: dict[str, Any] = whole["site"]
    if _digest(site) != whole.get("sha256"):
        raise ValueError("its check sum does not fit")
    return site


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
