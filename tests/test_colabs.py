"""Notebooks: clean, with a badge, and every cell of them runs, with its pictures."""

import os
import pathlib

import pytest

from tests.conftest import CACHE

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = pathlib.Path(__file__).parent.parent
PICTURES = {"1_gradient_descent_and_variants": 8}  # at least
COLABS = sorted((ROOT / "colabs").glob("*.ipynb"))


@pytest.fixture(params=COLABS, ids=lambda path: path.stem)
def colab(request):
    return request.param, nbformat.read(request.param, as_version=4)


def test_are_numbered_without_a_gap():
    numbers = [int(path.name.split("_")[0]) for path in COLABS]
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


@pytest.mark.slow  # minutes: they train
def test_every_cell_runs(colab):
    """In a fresh kernel, with this checkout, with JAX as a user has it."""
    path, notebook = colab
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
