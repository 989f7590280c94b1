"""What is published: versions that agree, and a wheel with the library and nothing else."""

import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

import gdjax

from .update import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_citation_has_the_version():
    cff = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.*)$", cff, re.MULTILINE)[1] == gdjax.__version__


def test_the_pythons_of_ci_are_those_of_the_metadata():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert named and all(version in workflow for version in named)
    assert PROJECT["requires-python"] == f">={named[0]}"


def run(*command, **options):
    """What a command prints; it fails if the command does."""
    options = {"capture_output": True, "text": True, "timeout": 600, **options}
    done = subprocess.run([str(word) for word in command], check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> pathlib.Path:
    """The folder with the archives of a release."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


# Tools of the project, data of its tests and tables: nothing a user imports.
NOT_OURS = re.compile(r"test|conftest|budget|recorded|\.npz$|\.ipynb$|\.md$")


@pytest.mark.published
def test_the_wheel_holds_the_library_alone(dist):
    (wheel,) = dist.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    outside = [f for f in files if not f.startswith(("gdjax/", "gdjax-"))]
    extra = [f for f in files if f.startswith("gdjax/") and NOT_OURS.search(f)]
    assert not outside and not extra
    kinds = {pathlib.Path(f).suffix for f in files if f.startswith("gdjax/")}
    assert kinds == {".py", ".pyi", ".typed", ".json"}
    assert {"gdjax/__init__.pyi", "gdjax/states.pyi", "gdjax/py.typed"} <= set(files)


@pytest.mark.published
def test_no_link_of_the_package_is_relative(dist):
    (wheel,) = dist.glob("*.whl")
    files = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in files.namelist() if name.endswith("/METADATA"))
    targets = re.findall(r"\]\(([^)]+)\)", files.read(metadata).decode())
    assert len(targets) > 20 and all(re.match("https?:|#", target) for target in targets)


@pytest.mark.published
def test_pages_and_tests_are_in_the_source_archive(dist):
    (archive,) = dist.glob("*.tar.gz")
    names = {name.partition("/")[2] for name in tarfile.open(archive).getnames()}
    for path in ("README.md", "CITATION.cff", "mkdocs.yml", "docs/index.md", "tests/update.py"):
        assert path in names


@pytest.mark.published
def test_twine_accepts_the_archives(dist):
    assert "PASSED" in run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir())


@pytest.mark.published
def test_the_wheel_works_in_a_fresh_environment(dist, tmp_path):
    """With its own dependencies alone, away from the clone; the command line with `[lab]`."""
    (wheel,) = dist.glob("*.whl")
    here = {"cwd": tmp_path}
    python, command = tmp_path / "env/bin/python", tmp_path / "env/bin/gdjax"
    install = ("uv", "pip", "install", "--quiet", "--python", python)
    run("uv", "venv", "--quiet", "--python", sys.executable, "env", **here)
    run(*install, wheel, **here)
    loaded = "import gdjax, json; print(json.dumps([gdjax.__version__, gdjax.__file__]))"
    version, file = json.loads(run(python, "-c", loaded, **here))
    assert version == gdjax.__version__ and file.startswith(str(tmp_path))
    assert run(command, "--version", **here).startswith(f"gdjax {version}")
    run(*install, f"gdjax[lab] @ {wheel.as_uri()}", **here)
    assert "adamw" in run(command, "list", "adam", **here)
