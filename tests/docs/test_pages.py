"""README and docs/: their Python runs, their links and paths lead somewhere."""

import doctest
import functools
import importlib.util
import re

import pytest

import gdjax as gd

from ..update import ROOT

README = ROOT / "README.md"
INDEX = ROOT / "docs" / "index.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
ALL = [*PAGES, ROOT / "CHANGELOG.md"]
name_of = lambda file: file.relative_to(ROOT).as_posix()
CODE = re.compile(r"```python\n(.*?)```", re.S)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
FENCED = re.compile(r"```.*?```", re.S)
# Paths in the tree that are named in text; `race/` is what `gdjax race` writes.
PATH = re.compile(r"`((?!race/)[\w.-]+/[\w./-]*\.(?:py|md|ipynb|jsonl|npz|png))`")
MODULE = re.compile(r"python -m ((?:gdjax|tests)[\w.]*)")


@pytest.mark.parametrize("page", [p for p in PAGES if CODE.search(p.read_text())], ids=name_of)
def test_python_runs(page):
    """The blocks of a page are one script from top to bottom, as a reader would paste them."""
    scope = {"__name__": page.stem}
    for block in CODE.findall(page.read_text()):
        if ">>>" not in block:
            exec(compile(block, str(page), "exec"), scope)
            continue
        test = doctest.DocTestParser().get_doctest(block, scope, page.name, str(page), 0)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test, clear_globs=False)
        assert runner.failures == 0
        scope.update(test.globs)


def test_readme_is_one_page():
    lines = len(README.read_text().splitlines())
    assert lines <= 150, f"{lines} lines: move what is not for the first look to a page of docs/"


def test_index_lists_every_page():
    listed = {target for target, _ in LINK.findall(INDEX.read_text())}
    missing = {page.name for page in INDEX.parent.glob("*.md")} - listed - {INDEX.name}
    assert not missing, f"list in docs/index.md, in one line each: {sorted(missing)}"


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
        there = any((folder / path).exists() for folder in (ROOT, page.parent))
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
