"""`make sbom`: a CycloneDX 1.6 list of what the packages are made of, from the lock file they are built from.

The same lock and source give the same file: no random serial number and no time but SOURCE_DATE_EPOCH, if that is set.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tomllib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Locked", "read_lock", "sbom"]

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "appliance.lock"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_VIA = re.compile(r"^\s+#\s+(?:via\s+)?(\S+)(?: \(.*\))?$")


@dataclass(frozen=True, slots=True)
class Locked:
    """A package of the lock file: SHA-256 of the files it may come from, and who asks for it."""

    name: str
    version: str
    sha256: tuple[str, ...]
    via: tuple[str, ...]


def read_lock(text: str) -> list[Locked]:
    """The packages of a pip-compile lock file with hashes and `via` comments; ValueError if one has no hash."""
    found: list[Locked] = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        pinned = _PINNED.match(block)
        if pinned is None:
            continue
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
        if not hashes:
            raise ValueError(f"{pinned[1]} has no hash in the lock file; make lock writes them")
        lines = [line for line in block.splitlines() if line.lstrip().startswith("#")]
        via = [match[1] for line in lines if (match := _VIA.match(line)) and match[1] != "via"]
        found.append(Locked(pinned[1], pinned[2], hashes, tuple(name for name in via if not name.startswith("-"))))
    return found


def sbom(locked: list[Locked], version: str, moment: datetime | None = None) -> dict[str, Any]:
    """The bill of materials as CycloneDX JSON (https://cyclonedx.org/docs/1.6/json/)."""
    own = {"type": "application", "name": "sleepbelt", "version": version, "bom-ref": f"pkg:pypi/sleepbelt@{version}",
           "purl": f"pkg:pypi/sleepbelt@{version}", "licenses": [{"license": {"id": "Apache-2.0"}}]}  # fmt: skip
    refs = {package.name.lower(): _ref(package) for package in locked}
    needs: dict[str, set[str]] = {str(own["bom-ref"]): set(), **{ref: set() for ref in refs.values()}}
    for package in locked:
        for asker in package.via or ("sleepbelt",):
            needs[refs.get(asker.lower(), str(own["bom-ref"]))].add(_ref(package))
    said: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": [_component(package) for package in locked],
        "dependencies": [{"ref": ref, "dependsOn": sorted(on)} for ref, on in sorted(needs.items())],
    }
    if moment is not None:
        said["metadata"]["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    # Its number is of its content: another list has another one, the same list the same.
    said["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(said, sort_keys=True))}"
    return said


def _component(package: Locked) -> dict[str, Any]:
    return {
        "type": "library",
        "name": package.name,
        "version": package.version,
        "bom-ref": _ref(package),
        "purl": _ref(package),
        # One of these is installed, by architecture; which, the lock leaves open.
        "externalReferences": [
            {"type": "distribution", "url": _ref(package), "hashes": [{"alg": "SHA-256", "content": digest}]}
            for digest in package.sha256
        ],
    }


def _ref(package: Locked) -> str:
    return f"pkg:pypi/{package.name.lower().replace('_', '-')}@{package.version}"


def main() -> int:
    """Write it; 0 done."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.sbom", description=(__doc__ or "").splitlines()[0],
        epilog="example: python -m tools.sbom --out dist/sleepbelt.cdx.json",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "sleepbelt.cdx.json", metavar="FILE")
    arguments = parser.parse_args()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = None if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    locked = read_lock(LOCK.read_text("utf-8"))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(sbom(locked, version, moment), indent=1) + "\n", "utf-8")
    print(f"{arguments.out}: {len(locked)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
