"""A hook of mkdocs: files of the repository on the site, and links to files that are not on it.

Pages are written for GitHub, where a link leads to any file of the repository. On the site a link
to a file that is a page becomes a link to that page, a notebook opens in Colab, and all other files
are opened on GitHub. What is not there is a warning, so a strict build fails.
"""

import logging
import os
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
GITHUB = "https://github.com/gdjax/gdjax"
COLAB = "https://colab.research.google.com/github/gdjax/gdjax"
# Pages whose text is a file of the repository that does not have their place in docs/.
ELSEWHERE = {
    "index.md": "README.md",
    "contents.md": "docs/index.md",
    "changelog.md": "CHANGELOG.md",
}
FENCE = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
OURS = re.compile(
    r"https://(?:raw\.githubusercontent\.com/gdjax/gdjax|github\.com/gdjax/gdjax/(?:blob|raw|tree))"
    r"/main/"
)
log = logging.getLogger("mkdocs.hooks.repository")


def on_files(files, config):
    """Adds the pages of `ELSEWHERE`, and the page on citing."""
    texts = {page: (ROOT / path).read_text("utf-8") for page, path in ELSEWHERE.items()}
    texts["citing.md"] = citing()
    for path in (*texts, *(path.removeprefix("docs/") for path in ELSEWHERE.values())):
        if path in files.src_uris:
            files.remove(files.src_uris[path])
    for page, text in texts.items():
        files.append(File.generated(config, page, content=text))
    at = {file.dest_uri: file for file in files}
    for file in files:
        if at[file.dest_uri] is not file:
            other = at[file.dest_uri].src_uri
            log.warning("%s and %s have one address.", file.src_uri, other)
    return files


def on_page_markdown(markdown, page, config, files):
    """Writes the links of a page for the site."""
    source = page.file.src_uri
    home = ELSEWHERE.get(source, f"docs/{source}")
    page.edit_url = f"{GITHUB}/edit/main/{home}" if (ROOT / home).exists() else None

    def link(match):
        before, target, anchor, after = match.groups("")
        return f"{before}{_address(target, source, home, files)}{anchor}{after}"

    parts = FENCE.split(markdown)  # those of odd index are code
    return "".join(part if i % 2 else LINK.sub(link, part) for i, part in enumerate(parts))


def _address(target, source, home, files):
    """What a page's link to a file of the repository is on the site."""
    if OURS.match(target):
        path = OURS.sub("", target)
    elif re.match(r"[a-z]+:", target):
        return target
    else:
        path = os.path.normpath(os.path.join(os.path.dirname(home), target))
    elsewhere = {where: name for name, where in ELSEWHERE.items()}
    here = [elsewhere.get(path) or path[5:] * path.startswith("docs/"), f"{path[5:]}/index.md"]
    for found in here:
        if found in files.src_uris and not found.endswith(".py"):  # code is read on GitHub
            return os.path.relpath(found, os.path.dirname(source) or ".")
    if not (ROOT / path).exists():
        log.warning("%s links to %s, which is not there.", home, target)
    if path.endswith(".ipynb"):
        return f"{COLAB}/blob/main/{path}"
    return f"{GITHUB}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}"


def citing():
    """The page on citing, from CITATION.cff."""
    cff = (ROOT / "CITATION.cff").read_text("utf-8")
    title, version, year = (
        re.search(rf"^{key}: \"?([^\"\n]*)", cff, re.MULTILINE)[1]
        for key in ("title", "version", "date-released")
    )
    return CITING.format(title=title, version=version, year=year[:4], url=GITHUB, cff=cff)


CITING = """# Citing gdjax

```bibtex
@software{{gdjax,
  author  = {{{{gdjax developers}}}},
  title   = {{{title}}},
  version = {{{version}}},
  year    = {{{year}}},
  url     = {{{url}}},
}}
```

GitHub's "Cite this repository" reads the same from `CITATION.cff`:

```yaml
{cff}```

Cite the paper of an optimizer too: the [catalogue](catalogue.md) has the references.
"""
