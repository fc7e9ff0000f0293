"""sbom: every package of the lock, with its hashes, and the same bytes for the same lock."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tools.sbom import LOCK, Locked, read_lock, sbom

TEXT = """\
alpha==1.2 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via sleepbelt (pyproject.toml)
beta-two==3.0 ; python_version < "4" \\
    --hash=sha256:{c}
    # via
    #   alpha
    #   sleepbelt (pyproject.toml)
""".format(a="a" * 64, b="b" * 64, c="c" * 64)


def test_a_lock_is_read_with_hashes_and_who_asks() -> None:
    assert read_lock(TEXT) == [
        Locked("alpha", "1.2", ("a" * 64, "b" * 64), ("sleepbelt",)),
        Locked("beta-two", "3.0", ("c" * 64,), ("alpha", "sleepbelt")),
    ]


def test_a_package_without_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="no hash"):
        read_lock("alpha==1.2\n    # via sleepbelt\n")


def test_who_needs_whom_is_in_it() -> None:
    said = sbom(read_lock(TEXT), "0.1")
    needs = {each["ref"]: each["dependsOn"] for each in said["dependencies"]}
    assert needs["pkg:pypi/sleepbelt@0.1"] == ["pkg:pypi/alpha@1.2", "pkg:pypi/beta-two@3.0"]
    assert needs["pkg:pypi/alpha@1.2"] == ["pkg:pypi/beta-two@3.0"]


def test_the_real_lock_is_listed_whole() -> None:
    text = LOCK.read_text("utf-8")
    said = sbom(read_lock(text), "0.1")
    assert len(said["components"]) == sum("==" in line and not line.startswith(" ") for line in text.splitlines())
    assert {"cryptography", "bleak", "lgpio"} <= {each["name"] for each in said["components"]}
    references = {each["bom-ref"] for each in said["components"]} | {"pkg:pypi/sleepbelt@0.1"}
    assert all(set(each["dependsOn"]) <= references and each["ref"] in references for each in said["dependencies"])
    assert (said["bomFormat"], said["specVersion"]) == ("CycloneDX", "1.6")


def test_the_same_lock_gives_the_same_bytes_and_another_another_number() -> None:
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    first, second = (json.dumps(sbom(read_lock(TEXT), "0.1", moment)) for _ in range(2))
    assert first == second
    assert sbom(read_lock(TEXT), "0.2")["serialNumber"] != sbom(read_lock(TEXT), "0.1")["serialNumber"]
