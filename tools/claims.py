"""A lint over texts that people read: interface strings, templates, docs, command-line texts, reports; both languages.

`python -m tools.claims` prints each forbidden claim with its place; 0 none, 1 some. We say "attention notice" and
"reference value"; a sentence that denies a claim is allowed in the forms listed here, and only on its own line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ALLOWED", "Claim", "find_claims", "texts"]

FORBIDDEN = re.compile(
    r"""
    diagnos(?:e|es|ed|is|tic|ing)\b | apno?ea\s*(?:alarm|alert|detect\w*|monitor\w*|warning) | detects?\s+apno?ea
    | fall[\s-]*(?:prevention|detection|detector|alarm|proof) | (?:prevents?|detects?|predicts?)\s+(?:a\s+)?falls?\b
    | medical[\s-]*grade | clinical[\s-]*grade | (?:a|as|is|class\s*\w+)\s+medical\s+device
    | clinically\s+(?:validated|proven)
    | (?:treats|cures|heals)\b | life[\s-]*(?:saving|support)
    | 诊断 | 确诊 | 呼吸暂停\s*(?:报警|告警|警报|检测|监测) | 防\s*跌倒 | 预防\s*跌倒
    | 跌倒\s*(?:检测|报警|预防|监测) | 医疗级 | 医用级 | 临床级
    | (?<!非)(?<!不是)医疗器械 | 治疗 | 治愈
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Denials, as patterns: what is matched is taken out of the line before it is judged.
DENIALS = re.compile(
    r"""
    (?:it\s+)?makes\s+no\s+diagnos[ei]s | does\s+not\s+diagnose | never\s+a\s+diagnosis
    | no\s+(?:diagnosis|medical\s+device) | not\s+a\s+(?:diagnosis|medical\s+device)
    | never\s+diagnosis,\s+apnoea\s+alarm,\s+fall\s+prevention,\s+medical\s+grade
    | 不(?:作|做|构成|用于|能)[^。，；]{0,12}诊断 | 不是[^。，；]{0,6}诊断
    | (?:不是|并非|非)医疗器械 | 不(?:作为|属于)医疗器械
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Whole phrases that stand in a text for another reason; each must still be needed (tests/tools/test_claims.py).
ALLOWED: tuple[str, ...] = (
    'ent_cat="diagnostic"',  # Home Assistant's own word for figures of a device's state
    "A belt cannot tell a fall, a diagnosis or apnoea, and no text says it can.",
)
# What people never read, or what is this list itself.
_SUFFIXES = {".md", ".toml", ".html", ".txt", ".js"}
_FOLDERS = ("docs", "gateway", "cloud_sync", "hil/commands", "tools/deb/control", "tools/deb/root")
_FILES = ("README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml",
          "tools/deb/control/control")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that is not ours to make."""

    file: str
    line: int
    found: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: claims "{self.found}"; say what is so instead'


def texts(root: Path) -> list[tuple[str, str]]:
    """(name, text) of everything that people read; source files of commands and reports too, for their strings."""
    files = {root / name for name in _FILES}
    for folder in _FOLDERS:
        for file in (root / folder).rglob("*"):
            if file.is_file() and (file.suffix in _SUFFIXES or file.suffix == ".py") and "vendor" not in file.parts:
                files.add(file)
    return [(str(file.relative_to(root)), file.read_text("utf-8")) for file in sorted(files) if file.exists()]


def find_claims(found: Iterable[tuple[str, str]]) -> list[Claim]:
    """Every forbidden claim in these (name, text)."""
    claims = []
    for name, text in found:
        for phrase in ALLOWED:
            text = text.replace(phrase, "\n" * phrase.count("\n"))
        for number, line in enumerate(text.splitlines(), 1):
            for match in FORBIDDEN.finditer(DENIALS.sub("", line)):
                claims.append(Claim(name, number, match[0].strip()))
    return claims


def main() -> int:
    """Print the claims; 0 none, 1 some."""
    claims = find_claims(texts(Path(__file__).resolve().parents[1]))
    for claim in claims:
        print(claim)
    return 1 if claims else 0


if __name__ == "__main__":
    sys.exit(main())
