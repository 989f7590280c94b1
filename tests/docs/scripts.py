"""The modules that make the pages of the catalogue, which are no part of a package."""

import sys

from ..update import ROOT

__all__ = [
    "coordinate_check",
    "facts",
    "formulas",
    "landscapes",
    "notes",
    "pages",
    "pictures",
    "tex",
]

sys.path.insert(0, str(ROOT / "docs" / "scripts"))

import coordinate_check  # noqa: E402
from optimizer_pages import (  # noqa: E402
    facts,
    formulas,
    landscapes,
    notes,
    pages,
    pictures,
    tex,
)
