"""audit: any change to the evidence shows, at its position."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cores.audit import AuditEntry, Broken, Head, canonical, entry_of, link, verify

ENTRY = AuditEntry(1_795_000_000_000, 7_200_000, True, "ack", "101-1", "carer", "", "rule 11")


def chain(*entries: AuditEntry) -> list[tuple[int, bytes, bytes]]:
    rows, head = [], Head()
    for entry in entries:
        body = canonical(entry)
        head = link(head, body)
        rows.append((head.position, body, head.hash))
    return rows


def several(count: int = 6) -> list[tuple[int, bytes, bytes]]:
    return chain(*(replace(ENTRY, elapsed_ms=at) for at in range(count)))


def test_an_untouched_chain_is_good_and_its_head_is_the_last_record() -> None:
    rows = several()
    assert verify(rows) == (Head(6, rows[-1][2]), None)
    assert verify([]) == (Head(), None)


def test_the_canonical_form_is_fixed_for_ever() -> None:
    assert canonical(ENTRY) == b'[1,1795000000000,7200000,true,"ack","101-1","carer","","rule 11"]'
    assert link(Head(), canonical(ENTRY)).text() == (
        "1:f203eb32f331012d0acf7ea9a65aac18450f00648d898d4f62709b1b7389aed9"
    )


@given(
    st.builds(
        AuditEntry, st.integers(0, 2**45), st.integers(0, 2**45), st.booleans(),
        *(st.text(max_size=20) for _ in range(5)),
    )
)  # fmt: skip
@settings(max_examples=100)
def test_every_record_reads_back(entry: AuditEntry) -> None:
    assert entry_of(canonical(entry)) == entry


@given(st.integers(0, 5), st.sampled_from(["changed", "removed", "swapped", "rehashed"]))
@settings(max_examples=40)
def test_tampering_is_found_at_its_position(index: int, how: str) -> None:
    rows = several()
    position, body, digest = rows[index]
    if how == "changed":
        rows[index] = position, body.replace(b"carer", b"other"), digest
    elif how == "removed":
        del rows[index]
    elif how == "swapped":
        other = (index + 1) % len(rows)
        rows[index], rows[other] = (position, rows[other][1], rows[other][2]), (rows[other][0], body, digest)
    else:
        # Rewriting a record together with its own hash breaks the one after it, or the head that was kept.
        body = body.replace(b"carer", b"other")
        rows[index] = position, body, link(Head(index, rows[index - 1][2] if index else Head().hash), body).hash
    _, broken = verify(rows, Head(6, several()[-1][2]))
    assert broken is not None
    first = {"swapped": min(index, (index + 1) % 6) + 1, "rehashed": min(index + 2, 6)}.get(how, index + 1)
    assert broken.position == first


def test_records_cut_off_at_the_end_show_against_a_head_kept_elsewhere() -> None:
    rows = several()
    assert verify(rows[:4])[1] is None
    assert verify(rows[:4], Head(6, rows[-1][2]))[1] == Broken(5, "cut_off")


def test_what_is_no_record_is_unreadable_although_its_hash_fits() -> None:
    head = link(Head(), b"[1]")
    assert verify([(1, b"[1]", head.hash)])[1] == Broken(1, "unreadable")


@pytest.mark.parametrize("text", ["", "x", "1", "1:zz", "-1:" + "00" * 32, "1:00"])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Head.parse(text)


def test_a_head_reads_back() -> None:
    head = several()[-1]
    assert Head.parse(Head(head[0], head[2]).text()) == Head(head[0], head[2])
