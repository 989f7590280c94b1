"""Docstrings, comments and messages are in the field's words; first lines name the method."""

from __future__ import annotations

import ast
import inspect
import io
import pathlib
import re
import tokenize

import pytest

import gdjax
from gdjax.core.data.recipe import factories

PACKAGE = pathlib.Path(gdjax.__file__).parent
ROOT = pathlib.Path(__file__).parent.parent.parent
FILES = sorted(str(f.relative_to(PACKAGE)) for f in PACKAGE.rglob("*.py"))

# Words and phrases that the field has a name for, or that make a riddle of a sentence.
UNUSED = (
    *("all else", "by and by", "dealt", "held", "in the place of", "its kin", "judged?", "judges"),
    *(
        "kin",
        "midst",
        "now and then",
        "said",
        "so for the derivatives",
        "tells?",
        "told",
        "words of",
    ),
    *("what comes (in|out)", "what (is|are) left", "what (it|they) differs?"),
    r"\w*(normal|regular|orthogonal|minim|maxim|general|optim|recogn|quant)is(e[sd]?|ing|ation)",
)
WORDS = re.compile(rf"\b({'|'.join(UNUSED)})\b", re.IGNORECASE)


def texts(source: str):
    """Docstrings, strings of more than one word and comments of a file, each with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for shift, line in enumerate(node.value.split("\n")):
                if not re.match(r"\s*(Reference:|>>>|\.\.\.)|.*https?://", line):
                    yield node.lineno + shift, line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def unused(source: str) -> list[str]:
    """The words in a file that are not to be used, with the lines they stand in."""
    found = [(line, text, match) for line, text in texts(source) for match in WORDS.finditer(text)]
    return [f"line {line}: {match[0]!r} in {text.strip()!r}" for line, text, match in found]


@pytest.mark.parametrize("file", FILES)
def test_words_are_the_fields(file):
    found = unused((PACKAGE / file).read_text("utf-8"))
    assert not found, "say it in the field's words:\n" + "\n".join(found)


PAGES = sorted(str(f.relative_to(ROOT)) for f in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_the_words_too(page):
    text = (ROOT / page).read_text("utf-8")
    prose = re.sub(r"(?ms)^```.*?^```|`[^`]*`|\]\([^)]*\)|\w+\.py", "", text)
    found = [match[0] for match in WORDS.finditer(prose)]
    assert not found, f"say it in the field's words: {found}"


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ('"""Takes what is left of the way."""', "what is left"),
        ("x = 1  # bfloat16 and its kin", "its kin"),
        ('fail("adam", "the numbers must be held in float32")', "held"),
        ('def f():\n    """Orthogonalises matrices."""', "Orthogonalises"),
        ('"""Raises an error for the noise of leaves."""\ntold = judge = held = 1', None),
    ],
)
def test_a_word_is_found(source, word):
    found = unused(source)
    assert len(found) == (word is not None)
    assert word is None or repr(word) in found[0]


# How a first line does not begin: with a motion, where the field has the name of a method.
MOTIONS = re.compile(
    r"(Adds to|Asks|Descends|Divides|Gives|Goes|Is|Keeps|Leaves|Lengthens|Lets|Looks"
    r"|Makes|Measures|Moves|Puts|Runs|Shortens|Shrinks|Takes|Turns|Weighs|Whitens)\b"
)


def plain(text: str) -> str:
    """The letters and digits of a text, in lower case."""
    return re.sub(r"[\W_]", "", text.lower())


def nameless(name: str, kind: str, line: str) -> str:
    """What is wrong with the first line of a public docstring, or the empty string."""
    if MOTIONS.match(line):
        return f"{name} begins with a motion, not with the name of the method: {line}"
    words = re.sub(r"_v\d+$", "", name).split("_")
    if kind == "optimizer" and not all(word in plain(line) for word in words):
        return f"the first line of {name} must have its name: {line}"
    return ""


def public():
    """Name, kind and docstring of the public factories and functions."""
    for name, made in factories().items():
        if made.is_ours:
            yield name, made.kind, inspect.getdoc(made.function) or ""
    for module in (gdjax.losses, gdjax.projections):
        for name, function in vars(module).items():
            if inspect.isfunction(function):
                yield name, "function", inspect.getdoc(function) or ""


def test_first_lines_name_the_method():
    found = [nameless(name, kind, text.partition("\n")[0]) for name, kind, text in public()]
    assert len(found) > 180
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize(
    ("name", "kind", "line", "message"),
    [
        ("adam", "optimizer", "Descends by the mean gradient.", "begins with a motion"),
        ("adamw", "optimizer", "Decoupled weight decay.", "must have its name"),
        ("sign_sgd", "optimizer", "signSGD: steps along signs.", ""),
        ("optimistic_adam_v2", "optimizer", "Optimistic Adam with one rate.", ""),
        ("huber_loss", "function", "Is quadratic for small differences.", "begins with a motion"),
        ("clip", "transformation", "Clips every entry of the updates.", ""),
    ],
)
def test_a_first_line_without_a_name_is_found(name, kind, line, message):
    found = nameless(name, kind, line)
    assert message in found and bool(message) == bool(found)
