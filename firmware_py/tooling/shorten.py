"""Short names for what nobody else asks for: each name that a `.mpy` mentions is interned in a board's RAM for good.

Two private names may become the same if no module has both: nobody looks at another module's private names. Modules
whose classes inherit from one another count as one. Names that the sources only use but never bind belong to somebody
else and stay, and so do those that a string names (getattr). A function keeps the names of its arguments for calls by
keyword; those that no call uses are counted through: a, b, c in each function.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import count
from string import ascii_letters

__all__ = ["shorten"]

Trees = Mapping[str, ast.Module]


def shorten(trees: Trees) -> None:
    """Rename in all modules of a board at once, in place."""
    unit_of = _units(trees)
    used: dict[str, set[str]] = defaultdict(set)  # private names of each unit
    bound: set[str] = set()
    kept: set[str] = set()
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                kept.add(node.value)
            for name, binds in _names(node):
                if _is_private(name):
                    used[unit_of[module]].add(name)
                    if binds:
                        bound.add(name)
    renamed = _coloured(used, bound - kept)
    keywords = {node.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    for tree in trees.values():
        _Rename(renamed).visit(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                _count_arguments(node, keywords)


def _count_arguments(function: ast.FunctionDef, keywords: set[str | None]) -> None:
    """Rename what the function takes, unless a scope inside it could have names of its own."""
    inside = list(ast.walk(function))
    if any(isinstance(node, ast.FunctionDef | ast.Lambda) and node is not function for node in inside):
        return
    names = [node for node in inside if isinstance(node, ast.Name)]
    taken = {node.id for node in names}
    shorts = (letter for letter in ascii_letters if letter not in taken)
    for argument in function.args.args:
        if argument.arg != "self" and argument.arg not in keywords and len(argument.arg) > 1:
            short = next(shorts)
            for node in names:
                if node.id == argument.arg:
                    node.id = short
            argument.arg = short


def _coloured(used: Mapping[str, set[str]], names: set[str]) -> dict[str, str]:
    """Old name -> new one, those in most units first; never one that a unit has already."""
    where = {name: [unit for unit, its in used.items() if name in its] for name in names}
    taken = {unit: its - names for unit, its in used.items()}
    renamed = {}
    for name in sorted(names, key=lambda name: (-len(where[name]), name)):
        short = next(each for each in _shorts() if not any(each in taken[unit] for unit in where[name]))
        if len(short) > len(name):
            short = name
        renamed[name] = short
        for unit in where[name]:
            taken[unit].add(short)
    return renamed


def _shorts() -> Iterator[str]:
    """_a, _b, ... _Z, _aa, ..."""
    for length in count(1):
        for number in range(len(ascii_letters) ** length):
            digits = [ascii_letters[number // len(ascii_letters) ** k % len(ascii_letters)] for k in range(length)]
            yield "_" + "".join(digits)


def _units(trees: Trees) -> dict[str, str]:
    """Module -> name of the group of modules that inherit from one another."""
    home = {
        node.name: module for module, tree in trees.items() for node in tree.body if isinstance(node, ast.ClassDef)
    }
    unit_of = {module: module for module in trees}
    for module, tree in trees.items():
        bases = [base.id for node in tree.body if isinstance(node, ast.ClassDef)
                 for base in node.bases if isinstance(base, ast.Name)]  # fmt: skip
        for other in {home[base] for base in bases if base in home}:
            old, new = unit_of[module], unit_of[other]
            unit_of = {each: new if unit == old else unit for each, unit in unit_of.items()}
    return unit_of


def _is_private(name: str) -> bool:
    return len(name) > 1 and name[0] == "_" and name[:2] != "__"


def _names(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """(name, whether this binds it) of one node."""
    if isinstance(node, ast.Name):
        yield node.id, not isinstance(node.ctx, ast.Load)
    elif isinstance(node, ast.Attribute):
        yield node.attr, not isinstance(node.ctx, ast.Load)
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name, True
    elif isinstance(node, ast.arg):
        yield node.arg, True
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg, False
    elif isinstance(node, ast.alias):
        yield node.asname or node.name, node.asname is not None
    elif isinstance(node, ast.Global | ast.Nonlocal):
        for name in node.names:
            yield name, False


class _Rename(ast.NodeTransformer):
    def __init__(self, renamed: Mapping[str, str]) -> None:
        self._renamed = renamed

    def _of(self, name: str) -> str:
        return self._renamed.get(name, name)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Name):
            node.id = self._of(node.id)
        elif isinstance(node, ast.Attribute):
            node.attr = self._of(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.name = self._of(node.name)
        elif isinstance(node, ast.arg):
            node.arg = self._of(node.arg)
        elif isinstance(node, ast.keyword) and node.arg:
            node.arg = self._of(node.arg)
        elif isinstance(node, ast.alias):
            node.name = self._of(node.name)
            node.asname = node.asname and self._of(node.asname)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [self._of(name) for name in node.names]
        return super().generic_visit(node)
