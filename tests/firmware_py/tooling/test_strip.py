"""What stripping takes out of a source, and what it must leave."""

from __future__ import annotations

import pytest

from firmware_py.tooling.strip import strip_sources


def _strip(**modules: str) -> dict[str, str]:
    return {name: text.strip() for name, text in strip_sources(modules).items()}


def test_constants_go_to_where_they_are_used() -> None:
    assert _strip(m="A = 2\nB = A * 3 + 1\ndef f(): return B")["m"] == "def f():\n    return 7"


def test_constants_of_another_module_lose_their_import() -> None:
    assert _strip(a="X, Y = 1, 2", b="from a import X\nprint(X)")["b"] == "print(1)"


def test_constants_through_a_module_keep_what_else_is_used_of_it() -> None:
    stripped = strip_sources({"p.a": "X = 5\ndef g(): pass", "p.b": "from p import a\na.g(a.X)"})["p.b"]
    assert stripped == "from p import a\na.g(5)\n"


@pytest.mark.parametrize("source", ["N = 1\n\ndef f():\n    global N\n    N = 2", "BIG = 4294967295", "S = 'text'"])
def test_what_changes_or_is_no_small_int_stays(source: str) -> None:
    assert _strip(m=source)["m"] == source


def test_annotations_docstrings_and_type_checking_blocks_go() -> None:
    head = '"""Doc."""\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n    import typing\n'
    source = head + 'def f(x: int) -> int:\n    """Doc."""'
    assert _strip(m=source)["m"] == "def f(x):\n    pass"


def test_unpacking_a_call_stays_as_it_is() -> None:
    assert _strip(m="A, B = f()")["m"] == "A, B = f()"


def test_field_names_of_the_wire_tables_go() -> None:
    assert _strip(m="RECORDS = {1: ('minute', '<B', ('x',))}")["m"] == "RECORDS = {1: (None, '<B', None)}"
