"""Writes a page for each optimizer and an index by family into `catalogue/` of the site.

`mkdocs-gen-files` runs it when the site is built; `python docs/scripts/catalogue.py OUTDIR` writes
the same files into a folder.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Iterator

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from optimizer_pages import facts, pages, pictures  # noqa: E402

FOLDER = "catalogue"


def files() -> Iterator[tuple[str, bytes]]:
    """The files by path, pages first."""
    names = [name for family in facts.families().values() for name in family]
    yield f"{FOLDER}/{pages.INDEX}", pages.index().encode()
    for name in names:
        yield f"{FOLDER}/{name}.md", pages.page(name).encode()
    for name in names:
        yield f"{FOLDER}/{name}.paths.png", pictures.paths(name)
        yield f"{FOLDER}/{name}.digits.png", pictures.digits(name)
        yield f"{FOLDER}/{name}.small.png", pictures.thumbnail(name)


def write(save: Callable[[str, bytes], object]) -> None:
    """Hands every file to `save`."""
    for path, content in files():
        save(path, content)


def _for_mkdocs(path: str, content: bytes) -> None:
    import mkdocs_gen_files

    with mkdocs_gen_files.open(path, "wb") as file:
        file.write(content)


def into(folder: pathlib.Path, path: str, content: bytes) -> None:
    """Writes a file into a folder."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/scripts/catalogue.py OUTDIR")
    write(lambda path, content: into(pathlib.Path(sys.argv[1]), path, content))
elif __name__ == "<run_path>":  # which mkdocs-gen-files calls a script
    write(_for_mkdocs)
