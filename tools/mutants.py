"""Every small wrong change of a module's source: comparisons, constants, conditions, arithmetic, statements left out.

A mutant is one node of the syntax tree put in place of another; texts, annotations and docstrings are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: in `holder.field` (its item `index`, if that is a list) stands `new` in place of the original."""

    key: str
    """Names it without line numbers, so that a reason written for it outlives edits elsewhere."""
    line: int
    lines: range
    """Lines whose execution reaches the change."""
    holder: ast.AST
    field: str
    index: int | None
    new: ast.AST

    def apply(self) -> None:
        """Change the tree this mutant was found in, for good."""
        if self.index is None:
            setattr(self.holder, self.field, self.new)
        else:
            getattr(self.holder, self.field)[self.index] = self.new


def find_mutants(path: Path) -> tuple[ast.Module, list[Mutant]]:
    """The tree of `path` and all its mutants, in the order of the source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    found = []
    for place in _places(tree, "", None):
        for new in _replacements(place):
            key = f"{path.name} {place.function or 'module'}: {_text(place.old)} -> {_text(new)}"
            seen[key] += 1
            if seen[key] > 1:
                key += f" #{seen[key]}"
            line = getattr(place.old, "lineno", place.statement.lineno)
            ast.copy_location(new, place.old)
            ast.fix_missing_locations(new)
            lines = range(min(line, place.statement.lineno), (place.old.end_lineno or line) + 1)
            found.append(Mutant(key, line, lines, place.holder, place.field, place.index, new))
    return tree, sorted(found, key=lambda mutant: mutant.line)


@dataclass(frozen=True, slots=True)
class _Place:
    holder: ast.AST
    field: str
    index: int | None
    old: ast.expr | ast.stmt
    statement: ast.stmt
    function: str


def _places(holder: ast.AST, function: str, statement: ast.stmt | None) -> Iterator[_Place]:
    """Every expression and statement below `holder`, with where it stands."""
    for field, value in ast.iter_fields(holder):
        if field in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for index, old in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(old, ast.AST):
                continue
            inner, around = function, statement
            if isinstance(old, ast.stmt):
                around = old
                if _is_text(old):
                    continue
            if isinstance(old, ast.expr | ast.stmt) and around is not None:
                yield _Place(holder, field, index, old, around, inner)
            if isinstance(old, ast.FunctionDef | ast.ClassDef):
                inner = f"{function}.{old.name}" if function else old.name
            if not isinstance(old, ast.Import | ast.ImportFrom | ast.JoinedStr):
                yield from _places(old, inner, around)


def _replacements(place: _Place) -> Iterator[ast.AST]:
    old = place.old
    if isinstance(old, ast.stmt):
        yield from _other_statements(place, old)
        return
    is_condition = place.field == "test" or (isinstance(old, ast.BoolOp) and isinstance(place.holder, ast.Return))
    changed_below = isinstance(old, ast.UnaryOp) or (isinstance(old, ast.Compare) and len(old.ops) == 1)
    if is_condition and not changed_below:
        yield ast.UnaryOp(ast.Not(), old)
    match old:
        case ast.Compare():
            for index, operator in enumerate(old.ops):
                for other in _COMPARISONS[type(operator)]:
                    changed = copy.copy(old)
                    changed.ops = [*old.ops[:index], other(), *old.ops[index + 1 :]]
                    yield changed
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(old.op, ast.And) else ast.And(), old.values)
            for index in range(len(old.values)):
                rest = [*old.values[:index], *old.values[index + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(old.op, rest)
        case ast.UnaryOp(op=ast.Not()):
            yield old.operand
        case ast.UnaryOp(op=ast.USub()):
            yield old.operand
        case ast.BinOp() if type(old.op) in _ARITHMETIC:
            yield ast.BinOp(old.left, _ARITHMETIC[type(old.op)](), old.right)
        case ast.Constant(value=bool()):
            yield ast.Constant(not old.value)
        case ast.Constant(value=int(number)):
            yield ast.Constant(number + 1)
            yield ast.Constant(number - 1)
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), old.args, old.keywords)


def _other_statements(place: _Place, old: ast.stmt) -> Iterator[ast.stmt]:
    match old:
        case ast.Return(value=None):
            yield ast.Pass()
        case ast.Return(value=ast.Constant(value=None) | ast.Constant(value=bool())):
            if isinstance(place.holder, ast.If | ast.For | ast.While):
                yield ast.Pass()
        case ast.Return():
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Assign(targets=targets) if place.function and any(
            isinstance(target, ast.Attribute | ast.Subscript | ast.Tuple) for target in targets
        ):
            yield ast.Pass()


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _text(node: ast.AST) -> str:
    """The source of a node on one line; a statement left out is `pass`."""
    return " ".join(ast.unparse(node).split())
