"""Examples in docstrings run, and every public factory has one."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import types

import pytest

import gdjax
from gdjax.core.data.recipe import factories

MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(gdjax.__path__, "gdjax.")
    if not m.name.endswith("__main__")
)


@pytest.mark.slow  # they are many, and compile what nothing else does
@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def calls(function):
    """Names that are called in the doctest of a function."""
    for example in doctest.DocTestParser().get_examples(inspect.getdoc(function) or ""):
        for node in ast.walk(ast.parse(example.source)):
            if isinstance(node, ast.Call):
                yield getattr(node.func, "attr", None) or getattr(node.func, "id", None)


def without_a_doctest(factories):
    """Those of gdjax that no doctest calls: their own or, for `scale_by_x`, the one of `x`."""
    ours = [made for made in factories if made.module.startswith("gdjax.")]
    shown = {made.name for made in ours if made.name in calls(made.function)}
    return [f.name for f in ours if not {f.name, f.name.removeprefix("scale_by_")} & shown]


def test_every_public_factory_has_a_doctest():
    missing = without_a_doctest(factories().values())
    assert not missing, f"write an example, `>>> name(...)`, in the docstring of {missing}"


def test_a_factory_without_a_doctest_is_found():
    def made(name, doc):
        function = lambda: None
        function.__doc__ = doc
        return types.SimpleNamespace(name=name, module="gdjax.optimizers", function=function)

    shown = made("grams", "Grams.\n\n>>> import gdjax as gd\n>>> gd.grams(1e-3)\ngrams(0.001)\n")
    bare, rule, other = (made(name, "No example.") for name in ("tiger", "scale_by_grams", "scale"))
    assert without_a_doctest([shown, bare, rule, other]) == ["tiger", "scale"]
