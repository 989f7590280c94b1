"""What the documentation says is run: docstrings, README, and the catalogue in it."""

import doctest
import importlib
import pathlib
import pkgutil
import re

import jax
import pytest

import gdjax

ROOT = pathlib.Path(__file__).parent.parent
README = ROOT / "README.md"
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(gdjax.__path__, "gdjax.")
    if not m.name.endswith("__main__")
)


@pytest.fixture(autouse=True)
def as_a_user():
    """JAX as it is by default, and no factory of an example left in the catalogue."""
    from gdjax.core.data.recipe import CATALOGUE

    before = dict(CATALOGUE)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_every_public_factory_has_a_doctest_or_is_used_in_one():
    from gdjax.core.data.recipe import CATALOGUE

    examples = "\n".join(
        line
        for name in MODULES
        for line in pathlib.Path(importlib.import_module(name).__file__).read_text().splitlines()
        if line.strip().startswith((">>>", "..."))
    )
    ours = [n for n, m in CATALOGUE.items() if m.module.startswith("gdjax.")]
    unused = [n for n in ours if not re.search(rf"\b{n}\(", examples)]
    # The rules under an optimizer of their own are shown by that optimizer.
    assert all(n.removeprefix("scale_by_") in ours or n in RULES for n in unused), unused


RULES = {"scale_by_rms", "scale_by_stddev", "scale_by_rss"}  # of rmsprop and adagrad


def test_readme():
    """Python blocks of the README run one after another, as a reader would paste them."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(blocks) >= 5
    scope = {"__name__": "readme"}
    for block in blocks:
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, scope, "README", str(README), 0)
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            runner.run(test, clear_globs=False)
            assert runner.failures == 0
            scope.update(test.globs)
        else:
            exec(compile(block, str(README), "exec"), scope)


def test_readme_catalogue_is_generated():
    """The table between the marks is what `gdjax.lab.catalogue.markdown()` gives."""
    from gdjax.lab.catalogue import markdown

    text = README.read_text()
    table = text.split("<!-- catalogue -->")[1].split("<!-- /catalogue -->")[0]
    assert table.strip() == markdown().strip()
