"""The sites of mutants: constants, signs, operators and comparisons in the rules."""

import ast
import collections
import functools
import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["FILES", "ROOT", "Mutant", "mutants"]

ROOT = pathlib.Path(__file__).parents[2] / "gdjax"
# Where a constant or a sign is mathematics. The rest of the package is names, trees and messages.
ROOMS = ("optimizers", "wrappers", "transforms", "schedules", "projections", "losses")
ROOMS += ("params", "core/matrix", "core/lowbit")
FILES = [f for room in ROOMS for f in sorted((ROOT / room).rglob("*.py")) if f.stem != "__init__"]
FILES += [ROOT / "core" / "rule" / "numerics.py"]

SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.GtE,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
# Messages, lengths, names, and ranges of arguments are no rules.
QUIET = {"fail", "add_note", "range", "len", "isinstance", "getattr", "astype", "reshape", "join"}
QUIET |= {"Range", "Role", "_replace"}
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
WIDE = 90  # characters of an expression that is shown whole


class Mutant(NamedTuple):
    """One change of one file, named by what it changes and not by where."""

    file: str  # from gdjax/ on
    function: str  # `name`, `Class.name`, or the name of a constant of the module
    before: str
    after: str
    nth: int  # of the equal changes in that function, from 1
    number: int  # of the site in its file
    line: int
    column: int

    @property
    def key(self) -> str:
        again = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.file} {self.function}: {self.before} -> {self.after}{again}"

    def at(self, place: str) -> bool:
        """Whether it is at `file:line` or `file:line:column`."""
        here = f"{self.file}:{self.line}:{self.column}:"
        return here.startswith(f"{place}:") or place == self.key


class _Site(NamedTuple):
    function: str
    shown: Any  # the node whose text is shown
    node: Any
    field: str
    value: Any  # the new value of the field


def mutants(names: Any = ()) -> Iterator[Mutant]:
    """All mutants of the files or folders with these names or paths, or of all files."""
    for file in FILES:
        path = str(file.relative_to(ROOT))
        here = {file.stem, path, *(str(folder) for folder in pathlib.Path(path).parents)}
        if not names or here & set(names):
            yield from _of_file(path)


@functools.cache
def _of_file(path: str) -> tuple[Mutant, ...]:
    found, seen = [], collections.Counter()
    for number, site in enumerate(_sites(ast.parse((ROOT / path).read_text()))):
        before, old = ast.unparse(site.shown), getattr(site.node, site.field)
        setattr(site.node, site.field, site.value)
        change = site.function, before, ast.unparse(site.shown)
        setattr(site.node, site.field, old)
        seen[change] += 1
        place = site.node.lineno, site.node.col_offset
        found.append(Mutant(path, *change, seen[change], number, *place))
    return tuple(found)


def changed(mutant: Mutant) -> ast.Module:
    """The file, changed."""
    tree = ast.parse((ROOT / mutant.file).read_text())
    site = list(_sites(tree))[mutant.number]
    setattr(site.node, site.field, site.value)
    return ast.fix_missing_locations(tree)


def _sites(tree: ast.Module) -> Iterator[_Site]:
    defaults = _only_defaults(tree)
    for statement in tree.body:
        name = getattr(statement, "name", "")
        if isinstance(statement, ast.FunctionDef):
            yield from _of_body(statement, name)
        elif isinstance(statement, ast.ClassDef):
            for method in statement.body:
                if isinstance(method, ast.FunctionDef):
                    yield from _of_body(method, f"{name}.{method.name}")
        elif (target := _constant_of(statement)) and target not in defaults:
            yield from _inside(statement.value, statement, target)


def _only_defaults(tree: ast.Module) -> set[str]:
    """Names that are read as defaults of arguments, which are bound already, and nowhere else."""
    given = [node for node in ast.walk(tree) if isinstance(node, ast.arguments)]
    given = [d for a in given for d in (*a.defaults, *a.kw_defaults) if isinstance(d, ast.Name)]
    read = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return {n.id for n in given} - {n.id for n in read if n not in given}


def constant(tree: ast.Module, name: str) -> Any:
    """The expression of a constant of a module, or None."""
    return next((s.value for s in tree.body if name and _constant_of(s) == name), None)


def _constant_of(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    else:
        target = getattr(statement, "target", None) if getattr(statement, "value", None) else None
    name = target.id if isinstance(target, ast.Name) else ""
    return name if CONSTANT.fullmatch(name) else ""


def _of_body(function: ast.FunctionDef, name: str) -> Iterator[_Site]:
    for statement in function.body:
        yield from _inside(statement, function, name)


def _inside(node: Any, parent: Any, name: str, unseen: bool = False) -> Iterator[_Site]:
    """The sites in a node; `unseen` where a constant of it stands in for what is divided by."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.If) and "errors.fail(" in ast.unparse(node.body[-1]):
        return  # a judgement of arguments
    if isinstance(node, ast.Call) and _called(node) in QUIET:
        return
    if isinstance(node, (ast.arguments, ast.JoinedStr, ast.Subscript)):
        if not isinstance(node, ast.Subscript):
            return
        node = ast.copy_location(ast.Expr(node.value), node)  # not its indices
    if isinstance(getattr(node, "op", None), ast.Add) and _is_text(node):
        return
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and not unseen:
        new = node.value + 1 if type(node.value) is int else node.value * 1.5 + 0.25
        text = ast.unparse(parent)
        shown = parent if len(text) <= WIDE and "\n" not in text else node
        yield _Site(name, shown, node, "value", new)
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in SWAPS:
        yield _Site(name, node, node, "op", SWAPS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield _Site(name, node, node, "op", ast.UAdd())
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in SWAPS:
                ops = [*node.ops[:i], SWAPS[type(op)](), *node.ops[i + 1 :]]
                yield _Site(name, node, node, "ops", ops)
    for child in ast.iter_child_nodes(node):
        guarded = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        guarded = (guarded and child is node.right) or (_called(node) in ROOTS)
        plain = unseen and isinstance(child, ast.Constant)
        yield from _inside(child, node, name, guarded and _called(child) in GUARDS or plain)


# x / where(known, y, 1), log(where(positive, y, 1)), x / max(size, 1): nobody sees the 1.
GUARDS = {"where", "max", "maximum"}
ROOTS = {"sqrt", "cbrt", "log"}


def _called(node: Any) -> str:
    """What a call calls, without its module."""
    return ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""


def _is_text(node: Any) -> bool:
    parts = (getattr(node, name, None) for name in ("left", "right", "value"))
    return any(isinstance(x, ast.Constant) and isinstance(x.value, str) for x in parts)
