"""Files of lines of JSON to which runs are added as they end."""

from __future__ import annotations

__all__ = ["append", "as_read", "load"]

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gdjax.core.rule import errors


def load(path: str | os.PathLike[str], where: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The objects in a file; none if it is not there. A last line that was cut off is passed over.

    Args:
        path: The file.
        where: Who reads it, for the message.
        keys: What each object must have.

    Raises:
        ValueError: Some other line is none of these.
    """
    path, found = Path(path), []
    texts = path.read_text("utf-8").splitlines() if path.exists() else []
    for i, text in enumerate(texts):
        try:
            found.append(json.loads(text))
            [found[-1][key] for key in keys]
        except (ValueError, KeyError, TypeError):
            if i + 1 < len(texts):
                must = f"{os.fspath(path)!r} must have a run in each line"
                errors.fail(where, must, f"in line {i + 1} {text[:40]!r}")
            del found[i:]
    return found


def append(path: Path, value: dict[str, Any]) -> None:
    """Adds a line; replaces a last one that was cut off."""
    whole = path.read_text("utf-8") if path.exists() else ""
    with path.open("r+" if whole else "w", encoding="utf-8") as file:
        file.seek(len(whole[: whole.rfind("\n") + 1].encode()))
        file.truncate()
        file.write(json.dumps(value, ensure_ascii=False) + "\n")


def as_read(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(json.dumps(value))
