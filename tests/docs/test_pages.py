"""README and docs/: their Python runs, their links and paths lead somewhere."""

import doctest
import functools
import importlib.util
import re

import pytest

import gdjax as gd

from ..update import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"
INDEX = DOCS / "index.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
ALL = [*PAGES, ROOT / "CHANGELOG.md"]
name_of = lambda file: file.relative_to(ROOT).as_posix()
CODE = re.compile(r"```python\n(.*?)```", re.S)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
FENCED = re.compile(r"```.*?```", re.S)
# Paths in the tree that are named in text; `race/` and `ladder/` are what the commands write.
PATH = re.compile(r"`((?!race/|ladder/)[\w.-]+/[\w./-]*\.(?:py|md|ipynb|jsonl|npz|png))`")
MODULE = re.compile(r"python -m ((?:gdjax|tests)[\w.]*)")


# Packages that no extra of gdjax installs: pages that import them run where they are installed.
GUESTS = ("optuna", "wandb")
# A block of the site that shows a part of a program, which has a test of its own.
SNIPPET = "--8<--"
guests_of = lambda page: [name for name in GUESTS if f"import {name}" in page.read_text()]
blocks_of = lambda text: [code for code in CODE.findall(text) if not code.startswith(SNIPPET)]


def run_python(text, name):
    """Runs the Python blocks of a page as one script, from top to bottom."""
    scope = {"__name__": name}
    for block in blocks_of(text):
        if ">>>" not in block:
            exec(compile(block, name, "exec"), scope)
            continue
        test = doctest.DocTestParser().get_doctest(block, scope, name, name, 0)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test, clear_globs=False)
        assert runner.failures == 0, f"{name}: the output differs, see above"
        scope.update(test.globs)


def with_marks(page):
    marks = [pytest.mark.slow] if guests_of(page) else []
    return pytest.param(page, marks=marks, id=name_of(page))


@pytest.mark.parametrize("page", [with_marks(p) for p in PAGES if blocks_of(p.read_text())])
def test_python_runs(page, tmp_path, monkeypatch):
    """The blocks of a page run as a reader would paste them, in a folder where they may write."""
    for guest in guests_of(page):
        pytest.importorskip(guest, reason=f"{name_of(page)} needs {guest}: pip install {guest}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    run_python(page.read_text(), name_of(page))


def test_a_page_that_fails_is_found(capsys):
    block = "```python\n{}\n```\n"
    run_python(block.format("x = 1") + "Text.\n" + block.format(">>> x + 1\n2\n"), "right.md")
    run_python(block.format('--8<-- "program.py:part"'), "snippet.md")
    with pytest.raises(NameError):
        run_python(block.format("y"), "error.md")
    with pytest.raises(AssertionError, match="output differs"):
        run_python(block.format(">>> 1 + 1\n3\n"), "output.md")


def test_readme_is_one_page():
    lines = len(README.read_text().splitlines())
    assert lines <= 150, f"{lines} lines: move what is not for the first look to a page of docs/"


def lists_of(page):
    """Pages that may list a page: docs/index.md and, for docs/room/, its index and docs/room.md."""
    folders = [folder for folder in page.parents if DOCS in folder.parents]
    rooms = [file for f in folders for file in (f / "index.md", f.with_suffix(".md"))]
    return [INDEX, *(file for file in rooms if file.exists())]


def links_of(page):
    """The files that a page links to."""
    return {(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text())}


def test_every_page_is_listed():
    pages = [page for page in PAGES if page not in (README, INDEX)]
    missing = [name_of(p) for p in pages if not any(p in links_of(file) for file in lists_of(p))]
    assert not missing, f"list in docs/index.md or in the index of the folder: {missing}"


# What newcomers looked for longest, by a word of the answer: one click from where they begin.
SOUGHT = {
    "save with Orbax": "orbax",
    "freeze a module": r"gd\.frozen",
    "read the average of the weights": "eval_params",
    "set a live rate in a chain": "set_hyperparams",
    "convert a checkpoint of optax": "from_optax_state",
    "race an own loss": r"own-problem|Problem\.of",
}


@pytest.mark.parametrize("start", ["get-started.md", "faq.md"])
@pytest.mark.parametrize("answer", SOUGHT.values(), ids=SOUGHT)
def test_what_newcomers_look_for_is_one_click_away(start, answer):
    first = DOCS / start
    near = [first, *(file for file in links_of(first) if file.suffix == ".md" and file.exists())]
    assert any(re.search(answer, page.read_text(), re.IGNORECASE) for page in near)


@functools.cache
def anchors(file):
    """The anchors of headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", FENCED.sub("", file.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(FENCED.sub("", page.read_text())):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name_of(page)} links to {target}, which is not there"
        assert not anchor or anchor in anchors(file), f"{name_of(page)}: no heading #{anchor}"


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_paths_and_modules_exist(page):
    text = page.read_text()
    for path in PATH.findall(text):
        there = any((folder / path).exists() for folder in (ROOT, DOCS, page.parent))
        assert there, f"{name_of(page)}: {path} is not there"
    for module in MODULE.findall(text):
        assert importlib.util.find_spec(module), f"{name_of(page)}: there is no module {module}"


def test_families_of_the_readme_are_where_they_are_said_to_be():
    rows = re.findall(r"^\| \[[^\]]*\]\(gdjax/([\w/]+)\) \| (.*) \|$", README.read_text(), re.M)
    assert len(rows) >= 9
    for folder, names in rows:
        for name in re.findall(r"`(\w+)`", names):
            module = getattr(gd, name).__module__
            assert module.startswith(f"gdjax.{folder.replace('/', '.')}."), f"{name}: {module}"
