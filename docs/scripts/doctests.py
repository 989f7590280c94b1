"""An extension of griffe: doctests in docstrings become blocks of code, as the site shows them."""

import re

import griffe

# From a line that begins with >>> to the next empty one.
DOCTEST = re.compile(r"^( *)(>>> .*(?:\n(?!\s*$).*)*)", re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts the doctests of every docstring between fences."""

    def on_object(self, *, obj, **_):
        """Changes the docstring of an object that was read."""
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(r"\1```pycon\n\1\2\n\1```", obj.docstring.value)
