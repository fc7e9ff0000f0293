"""Takes out of the firmware's sources what a board has no use for: RAM there holds every name that a module mentions.

A `.mpy` keeps each module-level constant as a dictionary entry and an interned name. So integer constants are put where
they are used and their names go, as do annotations, docstrings, blocks for the type checker, and the field names of the
wire tables (a board packs and unpacks by format only); private names become short ones (shorten.py). What remains does
the same, which the tests of the identity of the signal path and of the whole belt on wasm32 run on.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from firmware_py.tooling.shorten import shorten

__all__ = ["strip_sources"]

_SMALL_INT_MAX = (1 << 30) - 1  # beyond it a constant is an object: one named object is smaller than many
_NAMED_TABLES = ("LAYOUTS", "RECORDS")

Constants = dict[str, int]


def strip_sources(sources: Mapping[str, str]) -> dict[str, str]:
    """Module name -> source, for all modules of a board at once; gives the stripped sources under the same names."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    constants: dict[str, Constants] = {name: {} for name in trees}
    # A constant may build on another module's: repeat until nothing new is found.
    while True:
        before = sum(map(len, constants.values()))
        for name, tree in trees.items():
            _find_constants(name, tree, constants)
        if sum(map(len, constants.values())) == before:
            break
    for name, tree in trees.items():
        rebound = _rebound(tree)
        for constant in rebound & constants[name].keys():
            del constants[name][constant]
    stripped = {name: _stripped(name, tree, constants) for name, tree in trees.items()}
    shorten(stripped)
    return {name: ast.unparse(tree) + "\n" for name, tree in stripped.items()}


def _stripped(name: str, tree: ast.Module, constants: Mapping[str, Constants]) -> ast.Module:
    scope = _Scope(name, tree, constants)
    tree = _Strip(scope).visit(tree)
    return ast.fix_missing_locations(tree)


def _find_constants(name: str, tree: ast.Module, constants: Mapping[str, Constants]) -> None:
    scope = _Scope(name, tree, constants)
    for statement in tree.body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            continue
        for target, value in _pairs(statement.targets[0], statement.value):
            if isinstance(target, ast.Name) and target.id.isupper():
                number = scope.number(value)
                if number is not None and abs(number) <= _SMALL_INT_MAX:
                    constants[name][target.id] = number


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _rebound(tree: ast.Module) -> set[str]:
    """Names stored more often than once in a module, in whatever scope."""
    stored: list[str] = [
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    ]
    return {name for name in stored if stored.count(name) > 1}


class _Scope:
    """What a module's names stand for: constants of its own, imported ones, and modules that have some."""

    def __init__(self, name: str, tree: ast.Module, constants: Mapping[str, Constants]) -> None:
        self.known: Constants = dict(constants[name])
        self.modules: dict[str, Constants] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            source = _absolute(name, node)
            for alias in node.names:
                local = alias.asname or alias.name
                if f"{source}.{alias.name}" in constants:
                    self.modules[local] = constants[f"{source}.{alias.name}"]
                elif alias.name in constants.get(source, {}):
                    self.known[local] = constants[source][alias.name]

    def number(self, node: ast.expr) -> int | None:
        """The integer that an expression of constants stands for."""
        if isinstance(node, ast.Constant):
            return node.value if type(node.value) is int else None
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self.modules.get(node.value.id, {}).get(node.attr)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.number(node.operand)
            return None if value is None else -value
        if isinstance(node, ast.BinOp):
            left, right = self.number(node.left), self.number(node.right)
            if left is not None and right is not None:
                return _computed(node.op, left, right)
        return None


def _computed(operator: ast.operator, left: int, right: int) -> int | None:
    if isinstance(operator, ast.Add):
        return left + right
    if isinstance(operator, ast.Sub):
        return left - right
    if isinstance(operator, ast.Mult):
        return left * right
    if isinstance(operator, ast.FloorDiv) and right:
        return left // right
    if isinstance(operator, ast.LShift) and 0 <= right <= 31:
        return left << right
    if isinstance(operator, ast.BitOr):
        return left | right
    return None


def _absolute(name: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = name.rsplit(".", node.level)[0]
    return f"{package}.{node.module}" if node.module else package


class _Strip(ast.NodeTransformer):
    def __init__(self, scope: _Scope) -> None:
        self._scope = scope

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = _without_docstring(node.body)
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        node.returns = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.visit(ast.Assign([node.target], node.value))  # type: ignore[no-any-return]

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id == "TYPE_CHECKING":
            return None
        left = [
            pair for pair in _pairs(target, node.value)
            if not (isinstance(pair[0], ast.Name) and pair[0].id in self._scope.known)
        ]  # fmt: skip
        if not left:
            return None
        if isinstance(node.value, ast.Tuple) and isinstance(target, ast.Tuple) and len(left) < len(target.elts):
            node.targets = [ast.Tuple([each for each, _ in left], ast.Store())]
            node.value = ast.Tuple([each for _, each in left], ast.Load())
        if isinstance(target, ast.Name) and target.id in _NAMED_TABLES and isinstance(node.value, ast.Dict):
            node.value.values = [_nameless(row) for row in node.value.values]
        self.generic_visit(node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        node.names = [alias for alias in node.names if (alias.asname or alias.name) not in self._scope.known]
        return node if node.names else None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._replaced(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return self._replaced(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return self._replaced(node)

    def _replaced(self, node: ast.expr) -> ast.AST:
        if isinstance(getattr(node, "ctx", None), ast.Store):
            return node
        number = self._scope.number(node)
        return node if number is None or abs(number) > _SMALL_INT_MAX else ast.Constant(number)


def _nameless(row: ast.expr) -> ast.expr:
    """A row of a wire table, (name, format, field names, ...), without the names."""
    assert isinstance(row, ast.Tuple)
    assert isinstance(row.elts[2], ast.Tuple)
    row.elts[0] = ast.Constant(None)
    row.elts[2] = ast.Constant(None)
    return row


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_docstring else body
