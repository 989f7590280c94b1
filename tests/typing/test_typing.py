"""What type checkers see of gdjax as it is installed: every public name, and the wrong calls."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

import gdjax as gd

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGES = f"env/lib/python3.{sys.version_info.minor}/site-packages"
PACKAGE = pathlib.Path(gd.__file__).parent
RECIPES = sorted((ROOT / "docs" / "recipes").glob("*.py"))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with the scripts of users, and gdjax among the installed packages beside it.

    Checkers are stricter about what an installed package exports than about files at hand.
    """
    folder = tmp_path_factory.mktemp("project")
    packages = folder / PACKAGES
    packages.mkdir(parents=True)
    (packages / "gdjax").symlink_to(PACKAGE)
    (packages / "installed.pth").write_text(sysconfig.get_paths()["purelib"])
    (folder / "pyrightconfig.json").write_text('{"venvPath": ".", "venv": "env"}')
    for script in [*HERE.glob("*user.py"), *RECIPES]:
        shutil.copy(script, folder)
    names = [f"gd.{name}" for name in gd.__all__] + [f"gd.states.{n}" for n in gd.states.__all__]
    (folder / "every_name.py").write_text(
        "import gdjax as gd\n\nprint(\n" + ",\n".join(names) + ")\n"
    )
    return folder


def marked(folder, *files):
    """The lines that say `# error`, by file."""
    lines = {file: (folder / file).read_text().splitlines() for file in files}
    return {(f, i) for f in files for i, line in enumerate(lines[f], 1) if line.endswith("# error")}


def run(folder, *command):
    environment = {**os.environ, "PYTHONPATH": str(folder / PACKAGES)}
    command = [sys.executable, "-m", *command]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_pyright(project):
    recipes = [file.name for file in RECIPES]
    files = "user.py", "optax_user.py", "every_name.py", *recipes
    assert recipes
    out = run(project, "pyright", "--outputjson", *files)
    found = {}
    for error in json.loads(out.stdout)["generalDiagnostics"]:
        place = pathlib.Path(error["file"]).name, error["range"]["start"]["line"] + 1
        found.setdefault(place, error["message"])
    assert_only(found, marked(project, *files))


@pytest.mark.slow
def test_mypy(project):
    files = "user.py", "every_name.py"
    out = run(project, "mypy", "--strict", "--cache-dir", ROOT / ".mypy_cache", *files)
    rows = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", out.stdout, re.MULTILINE)
    found = {(file, int(line)): message for file, line, message in rows}
    assert out.returncode == 1 and found, out.stdout + out.stderr
    assert_only(found, marked(project, *files))


def assert_only(found, expected):
    missed = "\n".join(f"{file}:{line}: no error" for file, line in sorted(expected - set(found)))
    wrong = [f"{f}:{i}: {found[f, i]}" for f, i in sorted(set(found) - expected)]
    assert expected and set(found) == expected, "\n".join([missed, *wrong])


def test_the_script_is_python_that_runs():
    """The part above the wrong calls is right when it runs as well."""
    text = (HERE / "user.py").read_text()
    right, wrong = text.split("# What is wrong.\n")
    assert "# error" not in right and all(s.endswith("# error") for s in wrong.splitlines())
    exec(compile(right, "user.py", "exec"), {"__name__": "user"})
