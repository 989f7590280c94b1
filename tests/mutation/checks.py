"""What must notice a mutant: references, the contract's promises, doctests and tests near the file.

A mutant is put in place in this process: the function that everyone holds gets the changed code,
a constant of a module is replaced wherever it was imported. So nothing is imported again.
"""

import ast
import contextlib
import doctest
import functools
import importlib
import inspect
import io
import itertools
import pathlib
import re
import sys
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import jax
import numpy as np
import pytest

from gdjax import contract
from gdjax.core.data.recipe import factories
from gdjax.core.rule.numerics import enable_x64
from tests import cases, conftest, references  # noqa: F401 - conftest makes JAX strict
from tests.oracles import problem
from tests.proof.rows import of_file

from .sites import FILES, ROOT, changed, constant

__all__ = ["caught", "in_place"]

IN_RULES = ("optimizers", "wrappers", "transforms", "core")
# References of these files go through all functions that rules are written in.
OF_WORDS = ("adabelief", "adagrad", "adam", "adamax", "adan", "nadam", "radam", "rmsprop", "sgd")
# So many look at a mutant: those that use the file most directly.
NEAREST, WHOLE = {"reference": 12, "promise": 6}, 6
# What a wrong rule may break; the others are about form, and every mutant keeps it.
PROMISES = ("agrees_with_jit", "stays_finite", "is_differentiable", "descends", "takes_any_tree")
TESTS = pathlib.Path(__file__).parents[1]
# Not of values: promises and references again, pages, other processes.
OTHER = r"test_(contract|oracles|architecture|colabs|clients)|^(docs|compat|lab|plots|mutation)/"
# Their tests of many transformations have the names of these in their own.
EVERY = [TESTS / "transforms" / "test_decay.py", TESTS / "sharding"]
PYTEST = ["-q", "-x", "-n0", "-p", "no:cacheprovider", "--no-header", "--no-summary"]


def caught(mutant=None, *, of=None):
    """Which reference, promise, doctest or test notices a mutant; None if none does.

    One that fails without the mutant too notices nothing. `of` runs what looks at a mutant
    without it.
    """
    known = _recent(mutant) if mutant else []
    for check in itertools.chain(known, _checks(mutant or of)):
        found = _fails(check, mutant)
        if found and (mutant is None or not _fails(found, None)):
            if mutant:
                _NOTICED[mutant.file, mutant.function, found.name] = found
            return found.name
    return None


# What noticed mutants in this process, by their file and function; the last one is the latest.
_NOTICED: dict[tuple[str, str, str], "Check"] = {}


def _recent(mutant):
    """What noticed the latest mutants of the same function, then one of the same file.

    Their tests alone: the programs of other tests need not be compiled again.
    """
    latest = list(reversed(_NOTICED.items()))
    here = [check for (file, name, _), check in latest if (file, name) == mutant[:2]]
    near = [check for (file, name, _), check in latest if file == mutant.file and name != mutant[1]]
    return list({check.name: check for check in (*here[:3], *near[:1])}.values())


class Check(NamedTuple):
    """Something that raises if a value is not what it should be."""

    name: str
    run: Callable[[], None]
    compiled: bool = True  # whether it uses programs that caches keep


class Failed(Exception):
    """A test failed; its only argument is a check of that test alone."""


def _fails(check, mutant):
    """The check, or a narrower one, if it raises with the mutant in place."""
    place = in_place(mutant, check.compiled) if mutant else contextlib.nullcontext()
    with place, contextlib.redirect_stdout(io.StringIO()):
        try:
            check.run()
        except Failed as error:
            return error.args[0]
        except Exception:  # noqa: BLE001 - whatever a mutant does
            return check
    return None


def _checks(mutant):
    """The quickest and nearest first; what is used by no transformation has its tests alone.

    The tests of a file of rules are slower than references of its own; those of `core` are quicker.
    """
    own, beside, slow = _tests(mutant)
    if mutant.file.startswith("core"):
        others = (_eager(label) for label in _nearest("reference", mutant, several=None))
        return itertools.chain(own, _references(mutant), _promises(mutant), beside, slow, others)
    if mutant.file.startswith(IN_RULES):
        return itertools.chain(_references(mutant), own, _promises(mutant), beside, slow)
    return itertools.chain(own, beside, slow)


def _references(mutant):
    """Four steps of the nearest references and proofs, not compiled; then whole paths of a few."""
    labels = _nearest("reference", mutant)
    yield from map(_eager, labels)
    for tx in of_file(mutant.file):
        yield Check(f"proof {tx.name}", functools.partial(_proven, tx), compiled=False)
    for label in labels[:WHOLE]:
        yield Check(f"reference {label}", functools.partial(_agrees, label))


def _eager(label):
    return Check(f"reference {label}", functools.partial(_begins, label), compiled=False)


def _begins(label):
    with jax.disable_jit(), mock.patch.object(problem, "STEPS", 4):
        _agrees(label)


def _proven(tx):
    assert contract.prove(tx)


def _agrees(label):
    """As `test_agrees`."""
    tx, _, tolerance, *how = references.agreements()[label]
    with enable_x64():
        path = references.path_of(tx, *how)
    np.testing.assert_allclose(path, _path(label)[: len(path)], rtol=tolerance, atol=tolerance)


@functools.cache
def _path(label):
    with enable_x64():
        return references.agreements()[label].reference()


def _promises(mutant):
    for row in _nearest("promise", mutant):
        for name in PROMISES:
            run = functools.partial(contract.PROMISES[name], row.subject)
            yield Check(f"promise {name} of {row}", run)


def _tests(mutant):
    """The file's doctests and tests; tests of its folder that name what it offers; slow tests."""
    module = importlib.import_module(_module(mutant.file))
    folder, _, name = mutant.file.rpartition("/")
    own = TESTS / folder / f"test_{name}"
    if folder.startswith("core"):  # anything uses it: the tests that import it
        room, offered = TESTS, [own.stem.removeprefix("test_")]
    else:
        room, offered = TESTS / folder.split("/")[0], module.__all__
    names = re.compile(r"\b(" + "|".join(offered) + r")\b")
    beside = [f for f in sorted(room.rglob("test_*.py")) if names.search(f.read_text())]
    beside += [f for f in sorted((TESTS / folder).glob("test_*.py")) if f not in beside]
    beside = [f for f in beside if not re.search(OTHER, str(f.relative_to(TESTS)))]
    tests = lambda *given: [Check("test", functools.partial(_pytest, given))] if given else []
    named = dict.fromkeys([*offered, *(row.tx.name for row in _nearest("promise", mutant))])
    own_tests = [Check("doctest", functools.partial(_doctest, module))]
    own_tests += tests(own) if own.exists() else []
    by_name = (
        tests("-m", "slow or not slow", "-k", " or ".join(named), *EVERY)
        if mutant.file.startswith(IN_RULES[:3])
        else []
    )
    slow = tests("-m", "slow", *([own] if own.exists() else (TESTS / folder).glob("test_*.py")))
    return own_tests, [*by_name, *tests(*(f for f in beside if f != own))], slow


def _doctest(module):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert not doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed


class _First:
    """A plugin of pytest that keeps the name of the first test that fails."""

    name = ""

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.name = self.name or report.nodeid


def _pytest(tests):
    first = _First()
    pytest.main([*PYTEST, *map(str, tests)], plugins=[first])
    if first.name:
        alone = functools.partial(_pytest, [TESTS.parent / first.name])
        raise Failed(Check(f"test {first.name}", alone))


# Which references and rows run through a file.


def _module(path):
    return ".".join(("gdjax", *path.removesuffix(".py").split("/")))


SOURCES = {_module(str(file.relative_to(ROOT))): file for file in FILES}


@functools.cache
def _imports(module):
    """The modules with sites that a module uses, itself among them."""
    found, left = set(), [module]
    while left:
        here = left.pop()
        if here in found or here not in SOURCES:
            continue
        found.add(here)
        for node in ast.walk(ast.parse(SOURCES[here].read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                left += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return frozenset(found)


@functools.cache
def _users():
    """References and rows with the modules that they run through, the fewest first."""
    modules = {name: made.module for name, made in factories().items()}

    def of(tx):
        names = {modules[name] for name in references.parts(tx) if name in modules}
        return set().union(*({name} | _imports(name) for name in names))

    agree = [("reference", label, of(e.tx)) for label, e in references.agreements().items()]
    rows = [("promise", row, of(row.tx)) for row in cases.rows()]
    return sorted([*agree, *rows], key=lambda item: len(item[2]))


def _nearest(kind, mutant, several=NEAREST):
    """The references or rows that use the file of a mutant most directly, its own first."""
    here, own = _module(mutant.file), pathlib.Path(mutant.file).stem + "-"
    if mutant.file == "core/rule/numerics.py" and kind == "reference":
        return [x for x in references.agreements() if x.split("-")[0] in OF_WORDS]
    found = [what for k, what, modules in _users() if k == kind and here in modules]
    if kind == "reference":
        found.sort(key=lambda label: not label.startswith(own))
    return found[: several and several[kind]]


# A mutant in its place.


@contextlib.contextmanager
def in_place(mutant, compiled=True):
    """Puts a mutant in the place of the function or constant that it changes, and takes it back."""
    module, tree = importlib.import_module(_module(mutant.file)), changed(mutant)
    with contextlib.ExitStack() as undo:
        undo.callback(_forget, compiled)
        if value := constant(tree, mutant.function):
            _set_constant(module, mutant, value, undo)
        else:
            _set_code(module, mutant, tree, undo)
        _forget(compiled)
        yield


def _set_constant(module, mutant, value, undo):
    name, old = mutant.function, getattr(module, mutant.function)
    new = eval(compile(ast.Expression(value), mutant.file, "eval"), vars(module))
    for other in [m for n, m in list(sys.modules.items()) if n.startswith("gdjax")]:
        if vars(other).get(name) is old:
            undo.callback(setattr, other, name, old)
            setattr(other, name, new)


def _set_code(module, mutant, tree, undo):
    owner, _, name = mutant.function.rpartition(".")
    holder = getattr(module, owner) if owner else module
    function = _plain(inspect.getattr_static(holder, name))
    old = function.__code__
    codes = _codes(compile(tree, str(ROOT / mutant.file), "exec"))
    same = lambda c: (c.co_name, c.co_firstlineno) == (old.co_name, old.co_firstlineno)
    undo.callback(setattr, function, "__code__", old)
    function.__code__ = next(filter(same, codes))


def _codes(code):
    """The code objects of the functions of a module and of the methods of its classes."""
    for inner in code.co_consts:
        if inspect.iscode(inner):
            yield inner
            yield from filter(inspect.iscode, inner.co_consts)


def _plain(function):
    """The function inside of properties, static methods and decorators."""
    for name in ("__wrapped__", "fget", "__func__", "function"):
        inner = getattr(function, name, None)
        if callable(inner):
            return _plain(inner)
    return function


def _forget(compiled):
    """Empties the caches in which results of the other code may be."""
    if compiled:
        jax.clear_caches()
    for clear in _caches():
        clear()


@functools.cache
def _caches():
    factories()  # loads all modules
    modules = [module for name, module in sys.modules.items() if name.startswith("gdjax")]
    values = [value for module in modules for value in list(vars(module).values())]
    plain = [x for x in values if inspect.isfunction(getattr(x, "__wrapped__", None))]
    # What returns None registers classes, and may be called once.
    caches = [x for x in plain if hasattr(x, "cache_clear")]
    return [x.cache_clear for x in caches if x.__annotations__.get("return") != "None"]
