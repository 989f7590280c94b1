"""Flips constants and signs in the rules and counts what the tests catch.

    python -m tests.mutation                  every rule of the catalogue, 200 mutants drawn
    python -m tests.mutation adam lion        the rules of these files, all mutants
    python -m tests.mutation --list 40        what is drawn, without running it

A mutant changes one constant, sign, operator or comparison in the body of a rule, of its helpers
or of the words that rules are written in; not in judgements of arguments and their messages, nor
the constant that a guarded division puts in the place of 0. It is caught if a reference no longer
agrees, a promise of the contract no longer holds (of those that use the changed file most
directly), a doctest of the file or a test that names what it offers fails. All in this process.
"""

import argparse
import ast
import contextlib
import doctest
import importlib
import io
import pathlib
import random
import re
import time

import jax
import pytest

import gdjax
from gdjax import contract
from gdjax.core.data.recipe import factories
from gdjax.core.rule.numerics import enable_x64
from tests import cases, conftest, references, test_oracles  # noqa: F401 - conftest makes JAX strict

__all__ = ["Mutant", "caught", "main", "mutants"]

ROOT = pathlib.Path(gdjax.__file__).parent
FILES = sorted(
    file
    for folder in ("optimizers", "wrappers", "transforms")
    for file in (ROOT / folder).rglob("*.py")
    if file.name != "__init__.py"
)
WORDS = ROOT / "core" / "rule" / "numerics.py"
FILES += [WORDS]
# References of these files go through all words that rules are written in.
OF_WORDS = ("adabelief", "adagrad", "adam", "adamax", "adan", "nadam", "radam", "rmsprop", "sgd")
NEAREST = 24  # so many references and rows look at a mutant: those that use the file most directly
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


class Mutant:
    """One change of one file."""

    def __init__(self, file, number):
        self.file, self.number = file, number
        tree = ast.parse(file.read_text())
        change, node = list(_sites(tree))[number]
        self.line, before = node.lineno, ast.unparse(node)
        change()
        self.what = f"{before}  ->  {ast.unparse(node)}"
        self.tree = ast.fix_missing_locations(tree)

    def __str__(self):
        return f"{self.file.relative_to(ROOT)}:{self.line}: {self.what}"


def _sites(tree):
    """Where a body may be changed, with the change: constants, signs, operators, comparisons."""
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                yield from _inside(statement)


def _inside(node, unseen=False):
    """The sites in a node; `unseen` where a constant of it stands in for what is divided by."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.If) and "errors.fail(" in ast.unparse(node.body[-1]):
        return  # a judgement of arguments is no rule
    if isinstance(node, ast.Call) and _name(node) in QUIET:
        return  # messages, shapes and names are no rules
    if isinstance(node, (ast.arguments, ast.JoinedStr, ast.Subscript)):
        return
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _is_text(node):
        return
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and not unseen:
        yield (lambda: setattr(node, "value", node.value * 1.5 + 0.25)), node
    elif isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        yield (lambda: setattr(node, "op", SWAPS[type(node.op)]())), node
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield (lambda: setattr(node, "op", ast.UAdd())), node
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield (lambda: node.ops.__setitem__(0, SWAPS[type(node.ops[0])]())), node
    for child in ast.iter_child_nodes(node):
        guarded = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        guarded = (guarded and child is node.right) or (_name(node) in ROOTS)
        yield from _inside(child, guarded and _name(child) in GUARDS or unseen and _plain(child))


def _name(node):
    """What a call calls, without its module."""
    return ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""


def _plain(node):
    return isinstance(node, ast.Constant)


def _is_text(node):
    parts = (node.left, node.right)
    return any(isinstance(x, ast.Constant) and isinstance(x.value, str) for x in parts)


# x / where(known, y, 1), log(where(positive, y, 1)), x / max(size, 1): nobody sees the 1.
GUARDS = {"where", "max", "maximum"}
ROOTS = {"sqrt", "cbrt", "log"}
QUIET = {"fail", "add_note", "range", "len", "isinstance", "getattr", "astype", "reshape", "join"}


def mutants(names=()):
    """All mutants of the files with these names, or of all files."""
    chosen = [file for file in FILES if not names or file.stem in names]
    for file in chosen:
        for number in range(len(list(_sites(ast.parse(file.read_text()))))):
            yield Mutant(file, number)


@contextlib.contextmanager
def _in_place(mutant):
    """Gives the changed code to the functions that everyone holds, and takes it back."""
    module = importlib.import_module(_module(mutant.file))
    codes = compile(mutant.tree, str(mutant.file), "exec").co_consts
    functions = {}
    for code in (c for c in codes if hasattr(c, "co_name")):
        function = getattr(module, code.co_name, None)
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if hasattr(function, "__code__"):
            functions[function] = function.__code__, code
    try:
        for function, (_, code) in functions.items():
            function.__code__ = code
        jax.clear_caches()
        yield
    finally:
        for function, (code, _) in functions.items():
            function.__code__ = code


def _module(file):
    return ".".join(("gdjax", *file.relative_to(ROOT).with_suffix("").parts))


def _imports(file):
    """The modules of rules that a file uses, itself among them."""
    found, left = set(), [file]
    while left:
        here = left.pop()
        if here in found:
            continue
        found.add(here)
        for node in ast.walk(ast.parse(here.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gdjax"):
                left += [f for f in FILES if _module(f) == node.module]
    return {_module(f) for f in found}


def users():
    """References and rows with the modules that they run through, the fewest first."""
    modules = {name: made.module for name, made in factories().items()}
    through = {_module(f): _imports(f) for f in FILES}

    def of(tx):
        names = {modules[name] for name in references.parts(tx) if name in modules}
        return set().union(*(through.get(name, {name}) for name in names))

    agree = [("agree", label, of(entry.tx)) for label, entry in references.agreements().items()]
    rows = [("row", row, of(row.tx)) for row in cases.rows()]
    return sorted([*agree, *rows], key=lambda item: (item[0], len(item[2])))


def caught(mutant, using):
    """Says which reference or promise notices; None if none does."""
    here = _module(mutant.file)
    with _in_place(mutant):
        nearest = [(kind, what) for kind, what, modules in using if here in modules][:NEAREST]
        if mutant.file == WORDS:
            nearest = [("agree", x) for x in references.agreements() if x.split("-")[0] in OF_WORDS]
        for kind, what in nearest:
            checks = [lambda what=what: _agrees(what)]
            if kind == "row":
                checks = [lambda p=p, what=what: p(what.subject) for p in PROMISES]
            for check in checks:
                try:
                    check()
                except Exception as error:  # noqa: BLE001 - whatever a mutant does
                    return f"{what}: {type(error).__name__}"
    return None


def caught_by_tests(mutant):
    """Whether the doctests of the file, or the tests that name what it offers, notice."""
    module = importlib.import_module(_module(mutant.file))
    names = re.compile(r"\b(" + "|".join(module.__all__) + r")\b")
    files = [f for f in TESTS if names.search(f.read_text())]
    with _in_place(mutant), contextlib.redirect_stdout(io.StringIO()):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            if doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed:
                return True
        quick = ["-q", "-x", "-n0", "-p", "no:cacheprovider", "--no-header"]
        return bool(files) and pytest.main([*quick, *map(str, files)]) == 1


HERE = pathlib.Path(__file__).parent
TESTS = [
    file
    for file in sorted(HERE.rglob("test_*.py"))
    if not re.search(
        "contract|oracles|docs|architecture|colabs|clients|compat|lab|plots",
        str(file.relative_to(HERE)),
    )
]


def _agrees(label):
    with enable_x64():
        test_oracles.test_agrees(label, None)


# What a wrong rule may break; the others are about form, and every mutant keeps it.
PROMISES = [
    contract.PROMISES[name]
    for name in (
        "agrees_with_jit",
        "stays_finite",
        "is_differentiable",
        "descends",
        "takes_any_tree",
    )
]


def main():
    """Draws mutants, runs them and prints those that nothing caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("files", nargs="*", help="names of files, as adam; by default all")
    parser.add_argument("--count", type=int, help="how many are drawn; 200 of the catalogue")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--part", default="1/1", help="k/n: every n-th of those drawn, from the k-th"
    )
    parser.add_argument("--list", action="store_true", help="tell them, do not run them")
    arguments = parser.parse_args()
    drawn = list(mutants(arguments.files))
    count = arguments.count or (len(drawn) if arguments.files else 200)
    total = len(drawn)
    drawn = random.Random(arguments.seed).sample(drawn, min(count, total))
    k, n = map(int, arguments.part.split("/"))
    drawn = drawn[k - 1 :: n]
    if arguments.list:
        print("\n".join(map(str, drawn)))
        return
    using, survivors, start = users(), [], time.monotonic()
    for mutant in drawn:
        if caught(mutant, using) is None and not caught_by_tests(mutant):
            survivors.append(mutant)
            print("survived", mutant, flush=True)
    good = len(drawn) - len(survivors)
    print(
        f"{good} of {len(drawn)} mutants caught ({100 * good / len(drawn):.1f} %), of {total} "
        f"places in {len(FILES)} files; {time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
