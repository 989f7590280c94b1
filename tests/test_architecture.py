"""The house stands: floors, sizes, exports, and what `import gdjax` loads."""

import ast
import pathlib
import subprocess
import sys

import pytest

import gdjax

ROOT = pathlib.Path(gdjax.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# A module imports from floors below its own; the optimizers may borrow from a neighbour.
FLOORS = {
    "core.rule": 0,
    "core.mesh": 0,
    "core.data": 1,
    "core.lowbit": 1,
    "core.engine": 2,
    "params": 2,
    "core.matrix": 3,
    "schedules": 3,
    "projections": 3,
    "losses": 4,
    "transforms": 4,
    "wrappers": 5,
    "optimizers": 6,
}
ROOF, ROOT_MODULE, LAB = 7, 8, 9  # the lab uses the library as anyone does


def module_of(file):
    return ".".join(("gdjax", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    )


def room_of(module):
    """The folder of a module that stands on one floor; core has several."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2] if parts[:1] == ["core"] else parts[:1])


def floor_of(module):
    if module == "gdjax":
        return ROOT_MODULE
    room = room_of(module)
    if room == "__main__":  # `python -m gdjax` is the command line
        return LAB + 1
    return LAB if room == "lab" else FLOORS.get(room, -1 if room == "core" else ROOF)


def imports_of(file):
    """Modules of gdjax that a file imports, inside of functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gdjax"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                path = ROOT.joinpath(*full.split(".")[1:])
                is_module = path.is_dir() or path.with_suffix(".py").exists()
                yield (
                    full if is_module and not (node.module == "gdjax.run.minimize") else node.module
                )
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("gdjax"))


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_imports_come_from_floors_below(file):
    module = module_of(file)
    here = floor_of(module)
    for other in imports_of(file):
        if module == "gdjax" or other == module:
            continue
        neighbours = room_of(other) == room_of(module)
        below = floor_of(other) < here or (here == floor_of(other) == ROOF)
        assert neighbours or below, f"{module} imports {other}"


def test_no_circles():
    graph = {module_of(f): set(imports_of(f)) - {module_of(f)} for f in FILES}
    graph.pop("gdjax")
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, f"circle: {' > '.join([*open_, module])}"
        if module in done:
            return
        open_.append(module)
        for other in graph.get(module, ()):
            visit(other)
        open_.pop()
        done.add(module)

    for module in graph:
        visit(module)


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_files_say_what_they_are_for(file):
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "no docstring"
    if file.name == "__init__.py":
        return
    rest = [n for n in tree.body[1:] if not isinstance(n, (ast.Import, ast.ImportFrom, ast.If))]
    if file != ROOT / "states.py":  # its names are those of a stub
        first = ast.unparse(rest[:1]).split("=")[0]
        listed, core = "__all__" in first, module_of(file).startswith("gdjax.core.")
        assert listed != core, (
            "__all__ is the first statement, but in core, where nothing is public"
        )
    lines = file.read_text().count("\n")
    assert lines <= 330, f"{lines} lines: has it one idea?"


def test_every_public_name_is_exported():
    """What can stand in a chain, and schedules, are `gdjax.name`; of meshes `gdjax.sharding`."""
    from gdjax.core.data.recipe import factories

    for name, made in factories().items():
        if made.module.startswith("gdjax.") and not name.startswith("_"):
            place = gdjax.sharding if made.module.startswith("gdjax.sharding") else gdjax
            assert getattr(place, name) is made.call, name


def test_import_loads_no_extras():
    code = (
        "import sys, gdjax.core.data.recipe as all; all.factories(); "
        "extras = 'matplotlib', 'rich', 'sklearn', 'optax', 'tqdm', 'chex', 'scipy.optimize'; "
        "print([m for m in extras if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(out.stdout)
    base = subprocess.run(
        [
            sys.executable,
            "-c",
            code.replace("gdjax.core.data.recipe as all; all.factories()", "jax"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(loaded) <= set(ast.literal_eval(base.stdout)), loaded
