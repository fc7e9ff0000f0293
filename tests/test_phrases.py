"""Every phrase of a command has its Chinese, with the same values, and no catalogue keeps what nobody says."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

import pytest

from cloud_sync.words import Words, catalogue
from protocol.phrase import Phrase, language_of, lines, say

ROOT = Path(__file__).parents[1]
SOURCES = [path for package in ("gateway", "cloud_sync", "protocol") for path in (ROOT / package).rglob("*.py")]


@dataclass(frozen=True)
class Said:
    where: str
    template: str
    values: frozenset[str]


def phrases() -> Iterator[Said]:
    """Every `Phrase("...", name=...)` of the sources."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "Phrase":
                continue
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            if path.name == "phrase.py":
                continue
            template = node.args[0]
            assert isinstance(template, ast.Constant), f"{where}: a template is written out where it is said"
            yield Said(where, str(template.value), frozenset(str(word.arg) for word in node.keywords))


ALL = list(phrases())


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def has_words(template: str) -> bool:
    return re.search(r"[A-Za-z]", re.sub(r"\{\w+\}", "", template)) is not None


def test_phrases_are_found_in_every_area() -> None:
    places = {said.where.partition(":")[0] for said in ALL}
    assert {
        "gateway/cores/checkup.py", "gateway/commands/doctor.py", "gateway/commands/update.py",
        "gateway/commands/audit.py", "gateway/commands/certificate.py", "gateway/commands/enrol.py",
        "gateway/commands/pin.py", "gateway/commands/provision.py", "gateway/config.py", "cloud_sync/enrol.py",
    } <= places  # fmt: skip


def test_each_phrase_gives_its_template_the_values_that_it_names() -> None:
    wrong = [said for said in ALL if said.values and placeholders(said.template) != said.values]
    assert wrong == []


def test_each_phrase_has_its_chinese() -> None:
    chinese = catalogue("zh")
    missing = {said.template: said.where for said in ALL if has_words(said.template) and said.template not in chinese}
    assert missing == {}


def test_the_chinese_has_the_same_values_and_is_chinese() -> None:
    with_values = {said.template for said in ALL if said.values}
    chinese = catalogue("zh")
    differ = [one for one in with_values & chinese.keys() if placeholders(one) != placeholders(chinese[one])]
    assert differ == []
    same = [one for one, other in chinese.items() if one == other and one not in ("BlueZ", "MQTT 5")]
    assert same == []


def test_the_catalogue_keeps_nothing_that_is_no_longer_said() -> None:
    assert sorted(catalogue("zh").keys() - {said.template for said in ALL}) == []


def test_no_area_says_a_phrase_in_another_way() -> None:
    files = sorted((ROOT / "cloud_sync/phrases").glob("zh_*.toml"))
    keys = [line.partition('" = "')[0] for file in files for line in file.read_text("utf-8").splitlines() if line]
    assert len(keys) == len(set(keys)) == len(catalogue("zh"))


def test_a_phrase_is_english_text_and_says_itself_and_what_it_holds_in_another_language() -> None:
    inner = Phrase("it is missing")
    phrase = Phrase("{file}: {problem}", file="a.toml", problem=inner)
    assert phrase == "a.toml: it is missing"
    words = {"it is missing": "缺失", "{file}: {problem}": "{file}：{problem}"}
    assert say(phrase, words) == "a.toml：缺失"
    assert say(copy.deepcopy(phrase), words) == "a.toml：缺失"
    assert say(lines([phrase, "plain"]), words) == "a.toml：缺失\nplain"
    assert say(Phrase("{error}", error=ValueError(inner)), words) == "缺失"
    assert say(Phrase("a { b }"), {}) == "a { b }"
    assert Words("en")(ValueError(phrase)) == phrase


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_locale_chooses_the_language(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language
