"""labels: what is printed is read back, and what was mistyped is named."""

from __future__ import annotations

import contextlib

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from gateway.cores.labels import (
    ALPHABET,
    BedLabel,
    BeltLabel,
    LabelError,
    bed_label_text,
    belt_label_text,
    code_of,
    grouped,
    parse_code,
    parse_label,
    parse_serial,
)

BELT = BeltLabel(bytes.fromhex("454d550102030001"), 3, bytes(range(16)))
keys, serials = st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)
labels = st.builds(BeltLabel, serials, st.integers(0, 31), keys)


def problem(text: str) -> LabelError:
    with pytest.raises(LabelError) as caught:
        parse_label(text)
    return caught.value


@given(labels)
def test_a_belts_label_is_read_back_and_fits_the_smallest_code(label: BeltLabel) -> None:
    text = belt_label_text(label)
    assert parse_label(text) == label
    code = segno.make(text, error="l", boost_error=False)
    assert (code.version, code.mode) == (2, "alphanumeric")


@given(labels)
def test_lower_case_spaces_dashes_full_width_and_look_alikes_are_read_as_meant(label: BeltLabel) -> None:
    head, serial, model, _ = belt_label_text(label).split(":")
    typed = f" {head.lower()}： {serial.lower()} : {model} : {grouped(code_of(label)).lower()} "
    typed = typed.replace("0", "o", 1)
    assert parse_label(typed) == label


def test_a_serial_is_also_read_as_hexadecimal_and_as_the_advertised_name() -> None:
    assert parse_serial("454d5501 02030001") == parse_serial("SB-454D550102030001") == BELT.serial


@given(labels, st.data())
def test_one_wrong_character_is_always_found(label: BeltLabel, data: st.DataObject) -> None:
    code = code_of(label)
    at = data.draw(st.integers(0, len(code) - 1))
    wrong = data.draw(st.sampled_from([character for character in ALPHABET if character != code[at]]))
    with pytest.raises(LabelError) as caught:
        parse_code(code[:at] + wrong + code[at + 1 :], label.serial)
    assert caught.value.code == "label_check"


@given(labels, st.data())
def test_two_swapped_neighbours_are_always_found(label: BeltLabel, data: st.DataObject) -> None:
    code = code_of(label)
    at = data.draw(st.integers(0, len(code) - 2))
    if code[at] == code[at + 1]:
        return
    with pytest.raises(LabelError):
        parse_code(code[:at] + code[at + 1] + code[at] + code[at + 2 :], label.serial)


def test_the_code_of_another_belt_is_found_before_anything_is_tried() -> None:
    with pytest.raises(LabelError):
        parse_code(code_of(BELT), bytes.fromhex("454d550102030002"))


@pytest.mark.parametrize(("text", "code", "values"), [
    ("", "label_empty", {}),
    ("https://example.org/menu", "label_foreign", {"found": "https://exam..."}),
    ("WIFI:S:home;P:secret;;", "label_foreign", {"found": "WIFI:S:home;..."}),
    ("BB2:whatever", "label_version", {"found": "BB2"}),
    ("BB1:0123456789ABC", "label_parts", {"found": 2}),
    ("BB1:0123456789ABC:1:00000", "label_length", {"part": "code", "found": 5, "expected": 27}),
    ("BB1:0123456789AUC:1:" + "0" * 27, "label_character", {"part": "serial", "position": 12, "found": "U"}),
    ("BED1:gw-01:", "label_foreign", {"found": "BED1:gw-01:"}),
])  # fmt: skip
def test_what_is_no_label_says_why(text: str, code: str, values: dict[str, object]) -> None:
    found = problem(text)
    assert (found.code, found.values) == (code, values)


def test_a_beds_label_names_its_gateway_and_keeps_the_beds_own_letters() -> None:
    label = BedLabel("gw-01", "三楼 301-a:2")
    assert parse_label(bed_label_text(label)) == label


@given(st.text(max_size=600))
def test_any_text_is_a_label_or_a_named_problem(text: str) -> None:
    with contextlib.suppress(LabelError):
        parse_label(text)


def test_the_secret_is_not_in_the_labels_repr() -> None:
    assert BELT.secret.hex() not in repr(BELT)
