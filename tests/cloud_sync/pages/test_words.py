"""The words of the pages: two complete languages, and the choice between them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from cloud_sync.pages.avatar import hue, initials
from cloud_sync.pages.language import choose_language, duration, exact_duration, strings

ROOT = Path(__file__).parents[3]
SOURCES = [
    *ROOT.glob("cloud_sync/pages/**/*.html"),
    *ROOT.glob("cloud_sync/pages/*.py"),
    *ROOT.glob("cloud_sync/receiver/templates/*.html"),
    *ROOT.glob("cloud_sync/receiver/*.py"),
    *ROOT.glob("gateway/web/**/*.html"),
    *ROOT.glob("gateway/web/*.py"),
]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_texts() -> None:
    assert strings("zh").texts.keys() == strings("en").texts.keys()


def test_translations_keep_their_placeholders() -> None:
    zh, en = strings("zh").texts, strings("en").texts
    assert [key for key in en if placeholders(zh[key]) != placeholders(en[key])] == []


def test_every_text_that_a_page_names_exists() -> None:
    named = {key for path in SOURCES for key in re.findall(r"\bt\(\s*\"([a-z_]+\.[a-z_]+)\"\s*[,)]", path.read_text())}
    assert len(named) > 80
    assert named - strings("en").texts.keys() == set()


def test_no_text_claims_what_the_product_is_not() -> None:
    texts = " ".join(strings("en").texts.values()).lower()
    assert not re.search(r"apn[o]?ea|medical grade|fall prevention|fell\b", texts)


@pytest.mark.parametrize(
    ("cookie", "header", "expected"),
    [
        ("en", "zh-CN", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr, en;q=0.5, zh;q=0.4", "en"),
        (None, "en;q=0.1, zh-TW;q=0.9", "zh"),
        (None, "fr-FR", "zh"),
        (None, "", "zh"),
        ("klingon", "en", "en"),
        (None, "zh;q=x;;, en;q=0.2", "en"),
    ],
)
def test_the_language_is_ones_own_choice_then_the_browsers_then_the_sites(
    cookie: str | None, header: str, expected: str
) -> None:
    assert choose_language(cookie, header, "zh") == expected


def test_durations_read_like_people_say_them() -> None:
    en, zh = strings("en"), strings("zh")
    assert [duration(en, seconds) for seconds in (None, 0, 59, 60, 3599, 25_920)] == [
        "–", "0 s", "59 s", "1 min", "59 min", "7 h 12 min",
    ]  # fmt: skip
    assert duration(zh, 25_920) == "7 小时 12 分"
    assert exact_duration(en, 545) == "9 min 5 s"
    assert exact_duration(en, 3600) == "1 h 0 min"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("张桂兰", "桂兰"), ("Margaret O'Neill", "MO"), ("Madonna", "M"), ("", "?"), ("😀 🎉", "?"), ("<b>", "B"),
        ("a" * 200, "A"),
    ],
)  # fmt: skip
def test_initials_come_from_letters_only(name: str, expected: str) -> None:
    assert initials(name) == expected


def test_a_colour_belongs_to_a_resident_and_not_to_a_name() -> None:
    assert hue("r-17") == hue("r-17") in range(8)
