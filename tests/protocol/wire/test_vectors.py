"""The golden bytes hold on every implementation that will read or write them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.interpreters import ROOT, run_cpython, run_unix, run_wasm
from tools import make_vectors

SCRIPT = Path(__file__).parent / "check_vectors.py"
VECTORS = ROOT / "protocol" / "vectors" / "wire.json"


def test_committed_vectors_are_what_the_table_gives() -> None:
    assert json.loads(VECTORS.read_text(encoding="ascii")) == json.loads(json.dumps(make_vectors.build()))


def test_every_kind_of_frame_has_a_vector() -> None:
    from protocol.wire import frames

    listed = {entry["kind"] for entry in json.loads(VECTORS.read_text(encoding="ascii"))["frames"]}
    assert set(frames.LAYOUTS) - listed == {frames.ABSENCES}  # which has an entry of its own


def test_vectors_pass_on_cpython() -> None:
    assert run_cpython(SCRIPT, str(VECTORS), "0").startswith("vectors ok")


def test_vectors_pass_on_the_micropython_unix_port() -> None:
    assert run_unix(SCRIPT, str(VECTORS), "0").startswith("vectors ok")


def test_vectors_pass_on_wasm32_with_31_bit_integers() -> None:
    assert run_wasm(SCRIPT, str(VECTORS), "1").startswith("vectors ok")


def test_the_table_aes_of_the_wasm_run_is_aes() -> None:
    assert run_cpython(SCRIPT, str(VECTORS), "1").startswith("vectors ok")


def test_the_written_protocol_is_the_one_that_runs() -> None:
    from tools import make_wire_doc

    page = make_wire_doc.TARGET.read_text("utf-8")
    assert make_wire_doc.updated(page) == page
