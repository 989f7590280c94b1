"""The tests mirror the package: what is in gdjax/a/b.py is tested by tests/a/test_b.py."""

import pytest

from tests import cases

# Files in which no factory is defined are tested where they are used.
SOURCES = list(cases.sources("optimizers", "transforms", "wrappers"))


@pytest.mark.parametrize("module", SOURCES)
def test_every_file_with_a_factory_has_its_tests(module):
    path = cases.test_file(module)
    assert (cases.HERE.parent / path).exists(), (
        f"create {path}, with ROWS and AGREE of the factories of {module}: "
        "tests/optimizers/adam/test_laprop.py is a short example"
    )


def test_factories_are_found_without_an_import():
    """By reading the files: one that nobody imports is seen too."""
    imported = set(cases.factories().values())
    here = {m for m in imported if m.split(".")[1] in ("optimizers", "transforms", "wrappers")}
    assert here <= set(SOURCES)
