"""An extension of griffe: what docstrings of gdjax have beside Google's sections.

Doctests become blocks of code, the reference of a paper becomes a line with a link, and the fields
of a named tuple are described by the comments behind them.
"""

import re

import griffe

# From a line that begins with >>> to the next empty one.
DOCTEST = re.compile(r"^( *)(>>> .*(?:\n(?!\s*$).*)*)", re.MULTILINE)
# A paragraph that begins with Reference: or References:, its further lines indented.
REFERENCE = re.compile(r"^(References?): *(.*(?:\n +\S.*)*)", re.MULTILINE)
URL = re.compile(r"(?<![<(])https?://[^\s,;)]*[^\s,;).]")


def markdown(docstring: str) -> str:
    r"""A docstring with its doctests and references in Markdown.

    >>> markdown("Adam.\n\n>>> 1 + 1\n2\n\nReference: Kingma,\n    https://x.org/1.")
    'Adam.\n\n```pycon\n>>> 1 + 1\n2\n```\n\n**Reference:** Kingma, <https://x.org/1>.'
    """

    def line(match):
        text = re.sub(r"\n +", " ", match[2])
        return f"**{match[1]}:** {URL.sub(lambda url: f'<{url[0]}>', text)}"

    return REFERENCE.sub(line, DOCTEST.sub(r"\1```pycon\n\1\2\n\1```", docstring))


def fields(cls: griffe.Class) -> str:
    """The section on the fields of a named tuple, each with the comment on its line."""
    lines = ["", "", "Attributes:"]
    for name, field in cls.attributes.items():
        role = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(field.annotation)).lower()
        comment = field.source.partition("#")[2].strip() or role
        lines.append(f"    {name}: {comment[0].upper()}{comment[1:]}.")
    return "\n".join(lines)


class Docstrings(griffe.Extension):
    """Writes every docstring in Markdown."""

    def on_object(self, *, obj, **_):
        """Changes the docstring of an object that was read."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)

    def on_class(self, *, cls, **_):
        """Adds the fields of a named tuple to its docstring."""
        named = any(str(base).endswith("NamedTuple") for base in cls.bases)
        if named and cls.attributes and cls.docstring and "Attributes:" not in cls.docstring.value:
            cls.docstring.value += fields(cls)
