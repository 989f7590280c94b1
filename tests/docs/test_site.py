"""The site: its API pages have every public name, its links lead from page to page."""

import importlib.util
import logging
import types

import pytest

import gdjax
from gdjax.core.data import exports

from ..update import ROOT

SCRIPTS = ROOT / "docs" / "scripts"


def script(name):
    """A script of the site, loaded as a module."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


api = script("api")


def attributes(module):
    """The names that a module shows to a user: its `__all__`, or what `dir` lists."""
    shown = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    return {n for n in shown if not isinstance(getattr(module, n), types.ModuleType)}


ROOMS = ("contract", "losses", "params", "plots", "programs", "projections", "sharding", "state")


def without_a_page(pages):
    """Public names of gdjax that no page of the reference has."""
    shown = {name for page in pages.values() for name in page.names}
    names = {f"gdjax.{name}" for name in attributes(gdjax)}
    names |= {f"gdjax.states.{name}" for name in exports.homes("gdjax.states")}
    for room in ROOMS:
        for name in attributes(getattr(gdjax, room)):
            ours = getattr(getattr(gdjax, room), name)
            if getattr(gdjax, name, None) is not ours:  # shown as gdjax.name already
                names.add(f"gdjax.{room}.{name}")
    return sorted(names - shown)


def test_every_public_name_is_on_a_page_of_the_reference():
    pages = api.pages()
    assert not without_a_page(pages)
    assert all(page.names for page in pages.values())
    names = [name for page in pages.values() for name in page.names]
    assert len(names) == len(set(names))


def test_a_name_without_a_page_is_found(monkeypatch):
    pages = api.pages()
    for page, name in (("adam", "gdjax.adamw"), ("state", "gdjax.state.find")):
        pages[page].names.remove(name)
    assert without_a_page(pages) == ["gdjax.adamw", "gdjax.state.find"]
    monkeypatch.delitem(api.FAMILIES, "gdjax.losses")
    with pytest.raises(ValueError, match="add gdjax.losses.* to FAMILIES"):
        api.pages()


def test_names_of_modules_are_those_of_their_functions():
    """`gdjax.state.find` is a function for users, and a module for what reads files."""
    for page in api.pages().values():
        for name in page.names:
            module, _, last = api.identifier(name).rpartition(".")
            assert hasattr(importlib.import_module(module), last)
    assert api.identifier("gdjax.state.metrics") == "gdjax.state.metrics.metrics"
    assert api.identifier("gdjax.adam") == "gdjax.adam"


def test_members_are_those_of_their_classes():
    for name, members in api.MEMBERS.items():
        kind = getattr(gdjax, name.removeprefix("gdjax."))
        assert all(hasattr(kind, member) for member in members)


class Files:
    """What the site has, as mkdocs tells a hook."""

    src_uris = dict.fromkeys(
        [
            *("index.md", "contents.md", "changelog.md"),
            *("state.md", "images/charlm.png"),
            *("howto/index.md", "howto/mup.md", "scripts/api.py"),
        ]
    )


GITHUB = "https://github.com/gdjax/gdjax"
COLAB = "https://colab.research.google.com/github/gdjax/gdjax"
LINKS = [  # the page, its link in the repository, and on the site
    ("state.md", "data.md", f"{GITHUB}/blob/main/docs/data.md"),  # a page that the site leaves out
    ("howto/mup.md", "../state.md", "../state.md"),
    ("state.md", "../CHANGELOG.md", "changelog.md"),
    ("state.md", "../README.md", "index.md"),
    ("state.md", "index.md", "contents.md"),
    ("howto/mup.md", "../../gdjax/state", f"{GITHUB}/tree/main/gdjax/state"),
    ("index.md", "docs/state.md", "state.md"),
    ("index.md", "docs/howto/", "howto/index.md"),
    ("howto/mup.md", "../scripts/api.py", f"{GITHUB}/blob/main/docs/scripts/api.py"),
    ("state.md", "../colabs/N.ipynb", f"{COLAB}/blob/main/colabs/N.ipynb"),
    ("index.md", "LICENSE", f"{GITHUB}/blob/main/LICENSE"),
    ("index.md", "https://docs.jax.dev", "https://docs.jax.dev"),
    (
        "index.md",
        "https://raw.githubusercontent.com/gdjax/gdjax/main/docs/images/charlm.png",
        "images/charlm.png",
    ),
]


@pytest.fixture
def repository():
    pytest.importorskip("mkdocs", reason="the site's tools come with gdjax[docs]")
    return script("repository")


@pytest.mark.published
@pytest.mark.parametrize("page, target, expected", LINKS)
def test_links_of_a_page_lead_on_from_the_site(repository, page, target, expected):
    file = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=page))
    text = f"See [it]({target}#part).\n\n```\n[it]({target})\n```\n"
    made = repository.on_page_markdown(text, file, None, Files)
    assert made == f"See [it]({expected}#part).\n\n```\n[it]({target})\n```\n"


@pytest.mark.published
def test_a_link_to_nothing_is_a_warning(repository, caplog):
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="state.md"))
    with caplog.at_level(logging.WARNING, "mkdocs.hooks.repository"):
        repository.on_page_markdown("[it](../gdjax/states)", page, None, Files)
    assert "docs/state.md links to ../gdjax/states, which is not there." in caplog.text


@pytest.mark.published
def test_every_public_name_has_a_docstring_that_the_site_shows():
    griffe = pytest.importorskip("griffe", reason="the site's tools come with gdjax[docs]")
    loader = griffe.GriffeLoader(search_paths=[ROOT])
    loader.load("gdjax", submodules=True)
    loader.resolve_aliases(implicit=True, external=False)
    shown = {name for page in api.pages().values() for name in page.names}
    found = {name: loader.modules_collection[api.identifier(name)] for name in shown}
    found = {name: one.final_target if one.is_alias else one for name, one in found.items()}
    assert sorted(name for name, one in found.items() if not one.docstring) == []


@pytest.mark.published
def test_docstrings_become_markdown():
    pytest.importorskip("griffe", reason="the site's tools come with gdjax[docs]")
    import doctest

    assert doctest.testmod(script("docstrings")) == (0, 1)
