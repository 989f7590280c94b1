"""Notebooks: clean, with a badge, and every cell of them runs, with its pictures."""

import ast
import os
import pathlib
import re

import pytest

from tests import french
from tests.conftest import CACHE

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = pathlib.Path(__file__).parent.parent
PICTURES = {french.ENGLISH.stem: 25}  # at least
# What is no prose although it looks so: places of a legend, and the name of an argument.
NO_PROSE = {"outside upper center", "upper left", "center right", "rmsprop, bias_correction"}
COLABS = sorted((ROOT / "colabs").glob("*.ipynb"))


@pytest.fixture(params=COLABS, ids=lambda path: path.stem)
def colab(request):
    return request.param, nbformat.read(request.param, as_version=4)


def test_are_numbered_without_a_gap():
    in_english = [path for path in COLABS if path != french.FRENCH]
    numbers = [int(path.name.split("_")[0]) for path in in_english]
    assert numbers and numbers == list(range(1, len(numbers) + 1))


def test_is_clean(colab):
    """As it is committed: no outputs, no counts, and nothing of whoever ran it last."""
    path, notebook = colab
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert not cell.metadata, cell.id
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.id


def test_opens_in_colab(colab):
    """A badge on top that opens this very file, then a cell that installs only in Colab."""
    path, notebook = colab
    first, second = notebook.cells[:2]
    place = f"https://colab.research.google.com/github/gdjax/gdjax/blob/main/colabs/{path.name}"
    assert first.cell_type == "markdown"
    assert first.source.startswith("[![Open In Colab](") and f"]({place})" in first.source
    guarded = second.source.split('if "google.colab" in sys.modules:\n')
    assert second.cell_type == "code" and len(guarded) == 2
    assert "%pip" not in guarded[0]
    assert all(line.startswith("    ") for line in guarded[1].splitlines())
    assert '    %pip install -q "gdjax[lab]' in guarded[1]


@pytest.fixture
def editions():
    """Cells of the English notebook and of the French one, in pairs."""
    english, other = (nbformat.read(p, as_version=4) for p in (french.ENGLISH, french.FRENCH))
    assert [(c.id, c.cell_type) for c in english.cells] == [
        (c.id, c.cell_type) for c in other.cells
    ]
    return list(zip(english.cells, other.cells))


def code_of(cell):
    return ast.parse(re.sub(r"^( *)%.*$", r"\1pass", cell.source, flags=re.M))


class WithoutStrings(ast.NodeTransformer):
    """Strings become empty, and of f-strings what is computed stays."""

    def visit_Constant(self, node):
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node):
        return ast.JoinedStr(
            [self.visit(x) for x in node.values if not isinstance(x, ast.Constant)]
        )


def test_french_has_the_code_of_the_english(editions):
    for english, other in editions:
        if english.cell_type == "code":
            one, two = (ast.dump(WithoutStrings().visit(code_of(c))) for c in (english, other))
            assert one == two, english.id


def test_french_leaves_no_text_in_english(editions):
    for english, other in editions:
        if english.cell_type == "markdown":
            assert other.source != english.source, english.id
            formulas = [re.findall(r"`[^`]+`", c.source) for c in (english, other)]
            assert sorted(formulas[0]) == sorted(formulas[1]), english.id
            continue
        strings, comments = [], []
        for cell in (english, other):
            nodes = [node for node in ast.walk(code_of(cell)) if isinstance(node, ast.Constant)]
            strings.append({node.value for node in nodes if isinstance(node.value, str)} - NO_PROSE)
            comments.append(set(re.findall(r"# .*$", cell.source, re.M)))
        same = {x for x in strings[0] & strings[1] if re.search(r"[a-z]{3,},? [a-z]{2,}", x)}
        same |= {x for x in comments[0] & comments[1] if re.search(r"[a-z]{3,}", x)}
        assert not same, f"{english.id}: translate in {french.TEXTS.name}, under strings"


def test_french_asks_for_what_is_missing():
    english, page = (path.read_text("utf-8") for path in (french.ENGLISH, french.TEXTS))
    assert french.notebook(english, page) == french.FRENCH.read_text("utf-8")
    stale = re.sub(r"<!-- cell-03 \w+ -->", "<!-- cell-03 00000000 -->", page)
    for broken, message in (
        (stale, r"cell-03 must translate .* Adapt it and write <!-- cell-03 \w{8} -->"),
        (page.replace("<!-- cell-05 ", "<!-- cell-xx "), r"one of \['cell-05', 'cell-xx'\]"),
        (page.replace('"losses" ⇒', '"loses" ⇒'), "strings must be in the code, got .*loses"),
    ):
        with pytest.raises(ValueError, match=message):
            french.notebook(english, broken)


# The French one is not run again: it has the code of the English one, up to what strings say.
@pytest.mark.slow  # minutes: they train
@pytest.mark.parametrize("path", [p for p in COLABS if p != french.FRENCH], ids=lambda p: p.stem)
def test_every_cell_runs(path):
    """In a fresh kernel, with this checkout, with JAX as a user has it."""
    notebook = nbformat.read(path, as_version=4)
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    env |= {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": CACHE,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.05",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    client = nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3")
    client.execute(env=env)  # raises CellExecutionError, with the cell and the traceback
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(cell.execution_count for cell in cells)
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= PICTURES.get(path.stem, 1)
