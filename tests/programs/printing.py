"""Tables of the commands of this folder, on stdout."""

from gdjax.programs.tables import markdown

__all__ = ["print_table"]


def print_table(head, rows, as_markdown):
    """Prints a table, as Markdown or in columns."""
    if as_markdown:
        print(markdown(head, rows), end="")
        return
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    for row in [head, *rows]:
        print("  ".join(text.ljust(n) for text, n in zip(row, widths)).rstrip())
