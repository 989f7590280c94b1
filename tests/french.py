"""The French edition of the first notebook: the English one with its texts in French.

`colabs/french/1_gradient_descent_and_variants.md` has the texts: what the code shows and what its
comments say, then every text cell. Each text cell names a hash of the English one that it
translates, so that a change of the English text asks for one of the French.
"""

import hashlib
import pathlib
import re

__all__ = ["ENGLISH", "FRENCH", "TEXTS", "digest", "notebook", "texts"]

COLABS = pathlib.Path(__file__).parent.parent / "colabs"
ENGLISH = COLABS / "1_gradient_descent_and_variants.ipynb"
FRENCH = COLABS / "1_descente_de_gradient_et_variantes.ipynb"
TEXTS = COLABS / "french" / "1_gradient_descent_and_variants.md"
HEAD = re.compile(r"^<!-- (\S+) ?(\w*) -->$", re.M)


def digest(source: str) -> str:
    """Eight digits of a hash of a text."""
    return hashlib.sha256(source.encode()).hexdigest()[:8]


def texts(page: str) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """What the code shows, French by English; and by id of a cell, a hash and the French text."""
    _, *parts = HEAD.split(page)
    sections = {
        id: (hashed, text.strip())
        for id, hashed, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }
    lines = [line for line in sections.pop("strings")[1].splitlines() if line]
    return dict(line.split(" ⇒ ") for line in lines), sections


def notebook(english: str, page: str) -> str:
    """The French notebook.

    Raises:
        ValueError: A cell or a text of the code is missing on the page, is there for nothing, or is
            the translation of another text than the English notebook has now.
    """
    import nbformat

    book = nbformat.reads(english, as_version=4)
    strings, cells = texts(page)
    code = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    if unused := [text for text in strings if text not in code]:
        raise ValueError(f"{TEXTS.name}: strings must be in the code, got {unused}.")
    ids = [cell.id for cell in book.cells if cell.cell_type == "markdown"]
    if set(ids) != set(cells):
        got = sorted(set(ids) ^ set(cells))
        raise ValueError(f"{TEXTS.name}: text cells must be those in English, got one of {got}.")
    longest_first = sorted(strings, key=len, reverse=True)
    for cell in book.cells:
        if cell.cell_type == "code":
            for text in longest_first:
                cell.source = cell.source.replace(text, strings[text])
            continue
        hashed, french = cells[cell.id]
        if hashed != digest(cell.source):
            must = f"{cell.id} must translate the English text as it is now, got that of {hashed}"
            write = f"Adapt it and write <!-- {cell.id} {digest(cell.source)} -->."
            raise ValueError(f"{TEXTS.name}: {must}. {write}")
        cell.source = french
    return nbformat.writes(book) + "\n"
