"""The public surface: what the files define is exported, and nothing else shows."""

import ast
import importlib
import inspect
import subprocess
import sys
import types

import pytest

import gdjax as gd

from ... import exports

FIRST = ["gdjax", "gdjax.core", "gdjax.core.data", "gdjax.core.data.exports"]
FOLDERS = {"core", "optimizers", "wrappers", "transforms", "schedules", "run"}


def exported(path):
    """The names that a stub imports, as it is on disk."""
    body = ast.parse((exports.ROOT.parent / path).read_text("utf-8")).body
    return {a.asname for n in body if isinstance(n, ast.ImportFrom) for a in n.names}


@pytest.mark.parametrize("path", exports.FILES)
def test_what_files_define_is_exported(path):
    """A file that nobody imports fails here."""
    there = exported(path)
    for module, names in exports.public(path == "gdjax/states.pyi").items():
        for name in names:
            assert name in there, (
                f"{module} defines {name}, which is not exported: run `{exports.COMMAND}`"
            )
    written = (exports.ROOT.parent / path).read_text("utf-8")
    assert written == exports.FILES[path](), f"{path} is old: run `{exports.COMMAND}`"


def test_files_that_export_nothing_help_others():
    """What is neither public nor imported by another file is dead."""
    files = list(exports.ROOT.rglob("*.py"))
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    open_ = {*exports.public(states=False), *exports.public(states=True)}
    for room in ("core", *exports.ROOMS):
        for file in (exports.ROOT / room).rglob("*.py"):
            module = ".".join(("gdjax", *file.relative_to(exports.ROOT).with_suffix("").parts))
            assert file.stem == "__init__" or module in open_ | imported, f"{module} is not used"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The files of the library in a folder of their own, to which a test may add."""
    import shutil

    shutil.copytree(exports.ROOT, tmp_path / "gdjax", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(exports, "ROOT", tmp_path / "gdjax")
    return tmp_path / "gdjax"


NEW = '"""New."""\n\n__all__ = ["ScaleByNewState", "new_descent"]\n'


def test_a_new_optimizer_is_its_file_and_one_command(copied):
    text = NEW + "\nclass ScaleByNewState(NamedTuple):\n    count: Count\n"
    (copied / "optimizers" / "sign" / "new_descent.py").write_text(text)
    message = "new_descent defines {}, which is not exported: run `python -m tests"
    with pytest.raises(AssertionError, match=message.format("new_descent")):
        test_what_files_define_is_exported("gdjax/__init__.pyi")
    with pytest.raises(AssertionError, match=message.format("ScaleByNewState")):
        test_what_files_define_is_exported("gdjax/states.pyi")
    for path, make in exports.FILES.items():
        (copied.parent / path).write_text(make())
        test_what_files_define_is_exported(path)


def test_two_files_with_one_name_raise(copied):
    (copied / "optimizers" / "sign" / "new_descent.py").write_text(
        NEW.replace("new_descent", "lion")
    )
    with pytest.raises(ValueError, match="lion and .*new_descent both define lion: rename one"):
        exports.exports_text()


def test_a_file_that_is_gone_raises(copied):
    (copied / "losses" / "arrays.py").unlink()
    with pytest.raises(ValueError, match="arrays.py is gone: mend SOME in tests/exports.py"):
        exports.exports_text()


class TestNamespace:
    def test_shows_what_is_public(self):
        assert dir(gd) == sorted([*gd.__all__, "__version__"])
        assert not FOLDERS & set(dir(gd))
        for name in set(dir(gd)) - {"__version__"}:
            value = getattr(gd, name)
            if isinstance(value, types.ModuleType):
                assert value.__name__ == f"gdjax.{name}"
            elif isinstance(value, type):
                assert not name.endswith(("State", "Info")) or name == "EmptyState"

    def test_states_are_classes_of_states(self):
        assert all(issubclass(getattr(gd.states, name), tuple) for name in gd.states.__all__)
        assert {"ScaleByAdamState", "MultiStepsState", "EmptyState"} <= set(gd.states.__all__)

    def test_an_import_loads_what_is_looked_at(self):
        code = "import sys, gdjax; print(sorted(m for m in sys.modules if m.startswith('gdjax')))"
        run = [sys.executable, "-c", code]
        out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
        assert ast.literal_eval(out) == FIRST

    def test_star_import_is_what_all_says(self):
        scope = {}
        exec("from gdjax import *", scope)
        assert set(scope) - {"__builtins__"} == set(gd.__all__)

    def test_every_factory_has_its_file_name(self):
        for name in gd.__all__:
            value = getattr(gd, name)
            if inspect.isfunction(value):
                assert getattr(importlib.import_module(value.__module__), name) is value

    ABSENT = {
        "ScaleByAdamState": "in gdjax.states: write gdjax.states.ScaleByAdamState.",
        "adamww": "'gdjax' has no attribute 'adamww'. Did you mean adamw",
        "AdamW": r"Did you mean adamw\?",
        "MultiSteps": "Here it is accumulate.",
        "inject_hyperparams": "Here it is live",
        "multi_transform": "Here it is partition.",
        "clip_grad_norm": "Here it is clip_by_global_norm.",
        "_machine_": "no attribute '_machine_'.$",
    }

    @pytest.mark.parametrize("name", ABSENT)
    def test_absent_names_are_answered(self, name):
        with pytest.raises(AttributeError, match=self.ABSENT[name]):
            getattr(gd, name)
        assert not hasattr(gd, name)

    @pytest.mark.parametrize("name", ["compat", "contract", "lab", "plots"])
    def test_the_roof_is_there(self, name):
        assert getattr(gd, name) is importlib.import_module(f"gdjax.{name}")
