"""What stripping takes out of a source, and what it must leave."""

from __future__ import annotations

import ast
import re

import pytest

from firmware_py.tooling.compile import PROJECT, sources
from firmware_py.tooling.shorten import shorten
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


def test_private_names_are_short_and_the_same_in_all_modules_that_have_both() -> None:
    stripped = _strip(a="class A:\n    def _first(self): return self._second", b="def _other(): pass\n_other()")
    assert stripped["a"] == "class A:\n\n    def _a(self):\n        return self._second"  # nobody binds _second here
    assert stripped["b"] == "def _a():\n    pass\n_a()"


def test_a_class_and_the_one_it_inherits_from_share_no_short_name() -> None:
    base = "class Base:\n    def __init__(self): self._own = 1"
    heir = "from base import Base\nclass Heir(Base):\n    def __init__(self): self._mine = 2"
    stripped = _strip(base=base, heir=heir)
    ((first,), (second,)) = (re.findall(r"self\.(\w+) =", text) for text in stripped.values())
    assert first != second


def test_a_name_that_a_string_asks_for_stays() -> None:
    source = "class A:\n    def __init__(self): self._asked = 1\ngetattr(A(), '_asked')"
    assert "self._asked = 1" in _strip(m=source)["m"]


def test_arguments_that_no_call_names_are_counted_through() -> None:
    source = "def f(value, at, b): return value + at + b\nf(1, at=2, b=3)"
    assert _strip(m=source)["m"] == "def f(a, at, b):\n    return a + at + b\nf(1, at=2, b=3)"


def test_no_two_names_of_a_module_of_the_firmware_become_one() -> None:
    texts = {str(path): (PROJECT / path).read_text() for path in sources("rp2")}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    shorten(trees)
    count = 0
    for name, tree in trees.items():
        pairs = {
            (before, after)
            for old, new in zip(ast.walk(ast.parse(texts[name])), ast.walk(tree), strict=True)
            for before, after in zip(_private(old), _private(new), strict=True)
        }
        assert len({after for _, after in pairs}) == len({before for before, _ in pairs}) == len(pairs)
        count += sum(before != after for before, after in pairs)
    assert count > 300


def _private(node: ast.AST) -> list[str]:
    fields = (getattr(node, field, None) for field in ("id", "attr", "name", "asname"))
    return [value for value in fields if isinstance(value, str) and value[:1] == "_"]
