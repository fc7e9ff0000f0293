"""Forbidden claims: no text that people read says that a belt diagnoses, prevents falls or is a medical device."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.claims import ALLOWED, Claim, find_claims, texts

ROOT = Path(__file__).resolve().parents[2]


def test_no_text_claims_what_a_belt_cannot_know() -> None:
    assert [str(claim) for claim in find_claims(texts(ROOT))] == []


def test_interface_texts_docs_and_reports_are_all_looked_at() -> None:
    names = {name for name, _ in texts(ROOT)}
    assert {"README.md", "README.zh-CN.md", "docs/hazards.md", "docs/alerting.md"} <= names
    assert any(name.endswith("strings/en.toml") or "strings" in name for name in names)
    assert any(name.startswith("gateway/web/templates") for name in names)
    assert "gateway/commands/night_text.py" in names


@pytest.mark.parametrize("text", [
    "sleepbelt diagnoses heart failure.",
    "It gives an early diagnosis of arrhythmia",
    "With apnoea alarm",
    "an apnea detector for the night",
    "Fall prevention for your home",
    "prevents falls",
    "detects falls beside the bed",
    "medical-grade accuracy",
    "a medical device of class II",
    "clinically validated",
    "本产品可诊断心律失常",
    "呼吸暂停报警",
    "防跌倒腰带",
    "预防跌倒",
    "医疗级精度",
    "医用级传感器",
    "跌倒检测",
])  # fmt: skip
def test_a_claim_is_found_in_either_language(text: str) -> None:
    assert find_claims([("x.md", text)])


@pytest.mark.parametrize("text", [
    "It is no medical device: it makes no diagnosis, and a belt cannot tell a fall from a walk.",
    "It never says \"fell\".",
    "sleepbelt doctor finds what is wrong with the gateway",
    "本产品不是医疗器械，不作诊断。",
])  # fmt: skip
def test_saying_that_it_is_not_so_is_allowed(text: str) -> None:
    assert not find_claims([("x.md", text)])


def test_a_negation_elsewhere_in_the_text_does_not_excuse_a_claim() -> None:
    text = "It is no medical device.\nIt detects falls."
    assert [claim.line for claim in find_claims([("x.md", text)])] == [2]


def test_each_exception_is_still_needed() -> None:
    """What is listed as allowed stands in a text; an exception for nothing would excuse a later claim."""
    everything = "\n".join(text for _, text in texts(ROOT))
    assert [phrase for phrase in ALLOWED if phrase not in everything] == []


def test_a_claim_says_where_it_stands() -> None:
    said = str(Claim("docs/x.md", 7, "prevents falls"))
    assert said == 'docs/x.md:7: claims "prevents falls"; say what is so instead'
