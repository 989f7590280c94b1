"""Checkpoints: states as flat dicts of named arrays, and their restoration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.data.renamed import former
from gdjax.core.engine.checks import check_transformation
from gdjax.core.lowbit.quantized import Quantized, is_quantized, parts_of
from gdjax.core.rule import errors
from gdjax.state.forms import as_known, data_of, described, fitted, form_of, is_form, is_key
from gdjax.state.names import Name, named_leaves, outside_in

__all__ = ["Report", "from_dict", "to_dict"]

ABOUT = "gdjax"  # the entry with the version and the formats of low-precision arrays
VERSION = 2  # 1 numbered a wrapper before one of its name inside it; without such it is written
_SHOWN = 3  # names in the line that a report prints as


class Report(NamedTuple):
    """What `from_dict` restored, by name."""

    kept: dict[str, str]  # of the new state: the name in what was saved
    changed: dict[str, str]  # of those: what was converted, "float32 to bfloat16"
    new: tuple[str, ...]  # of the new state, as `init` makes it
    dropped: tuple[str, ...]  # saved, and used for nothing

    def __repr__(self) -> str:
        """One line: how many of each, and the first names of those that are not as they were."""
        parts = [f"{len(self.kept)} kept"]
        for what in ("changed", "new", "dropped"):
            names = list(getattr(self, what))
            shown = [*names[:_SHOWN], "..."] if len(names) > _SHOWN else names
            parts.append(f"{len(names)} {what}" + (f": {', '.join(shown)}" if shown else ""))
        return f"Report({'; '.join(parts)})"


def to_dict(tx: Any, state: Any) -> dict[str, Any]:
    """Checkpoint of an optimizer state: a flat dict of named arrays, for any checkpoint library.

    For Orbax, safetensors or `numpy.savez`. Names come from the transformations, not from their
    nesting: stateless stages, wrappers and a schedule instead of a number change no name. The entry
    `gdjax` has the version of the format. Random keys become their data. Works under `jit`.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> tx = gd.chain(gd.clip(1.0), gd.adamw(1e-3))
    >>> list(gd.state.to_dict(tx, tx.init({"w": jnp.zeros(2)})))
    ['gdjax', 'scale_by_adam/count', 'scale_by_adam/mu/w', 'scale_by_adam/nu/w']

    Args:
        tx: The transformation that made the state.
        state: Its state.
    """
    check_transformation("to_dict", "tx", tx, "Write to_dict(tx, state).")
    saved, forms, entries = {}, {}, named_leaves(tx, state)
    before = [name for name, _ in named_leaves(tx, state, outside_in)]
    version = 1 if before == [name for name, _ in entries] else VERSION
    for name, leaf in entries:
        if is_quantized(leaf):
            forms[str(name)] = leaf.form
            parts = zip(parts_of(leaf.kind.format), jax.tree.leaves(leaf))
            saved.update({f"{name}/{part}": x for part, x in parts})
        else:
            saved[str(name)] = data_of(leaf)
    about = json.dumps({"version": version, "stored": forms}, sort_keys=True)
    return {ABOUT: np.frombuffer(about.encode(), np.uint8), **saved}


def from_dict(
    tx: Any, params: Any, saved: Mapping[str, Any], strict: bool = True
) -> tuple[Any, Report]:
    """Restores an optimizer state from a checkpoint of `to_dict`, and reports each name.

    Every array is placed as `tx.init(params)` places it. With `strict=False` the transformation may
    differ from the saved one: arrays with the same name are kept, arrays of another group of
    parameters (or of a renamed stage) are found by the rest of their name, dtypes and quantization
    are converted, new arrays begin as `init` makes them, and all others are dropped. A new schedule
    starts at the step count of `saved`, if all counts there are equal.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"w": jnp.zeros(2)}
    >>> old = gd.chain(gd.trace(0.9), gd.scale(-0.1))
    >>> new = gd.chain(gd.clip_by_global_norm(1.0), gd.trace(0.9), gd.scale(-0.1))
    >>> saved = gd.state.to_dict(old, old.init(params))
    >>> state, report = gd.state.from_dict(new, params, saved, strict=False)
    >>> list(report.kept), report.new[0], report.dropped
    (['trace/trace/w'], 'clip_by_global_norm/norm', ())

    Args:
        tx: The transformation that will use the state.
        params: Its parameters, as for `init`.
        saved: The result of `to_dict`, in any mapping: a dict, an open file of `numpy.load`.
        strict: Whether names, shapes and dtypes must be the same.

    Returns:
        The state, and a `Report` of the names that were kept, new and dropped.

    Raises:
        ValueError: `saved` is damaged or of another optimizer; the message has the first bad name,
            and nothing is restored.
    """
    check_transformation("from_dict", "tx", tx, "Write from_dict(tx, params, saved).")
    version, forms = _judge(saved)
    source = _Source(saved, forms, strict)
    fresh = tx.init(params)
    entries = named_leaves(tx, fresh)
    if version < 2:
        older = named_leaves(tx, fresh, outside_in)
        if all(str(old) in source.names for (old, _), new in zip(older, entries) if old != new[0]):
            entries = older
    source.look_at([name for name, _ in entries])
    leaves = [source.restore(name, leaf) for name, leaf in entries]
    used = set(source.kept.values())
    dropped = tuple(name for name in source.names if name not in used)
    if strict and dropped:
        hint = errors.nearest(dropped[0], (str(name) for name, _ in entries))
        must = "saved must have the names of the state and no others"
        got = f"{dropped[0]!r}" + (f" and {len(dropped) - 1} more" if dropped[1:] else "")
        errors.fail("from_dict", must, got, instead=f"{hint} {LOOSE}".lstrip())
    if entries and not source.kept:
        must = "saved must have a name in common with the state"
        errors.fail("from_dict", must, ", ".join(list(saved)[:3]))
    treedef = jax.tree.structure(fresh, is_leaf=is_quantized)
    report = Report(source.kept, source.changed, tuple(source.new), dropped)
    return treedef.unflatten(leaves), report


LOOSE = "For another optimizer write from_dict(..., strict=False)."


def _judge(saved: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Checks that `saved` comes from `to_dict`; its version, and forms of its quantized arrays."""
    if not hasattr(saved, "keys") or ABOUT not in saved:
        must = f"saved must be a result of to_dict, with the entry {ABOUT!r}"
        got = ", ".join(map(str, [*saved][:3])) if hasattr(saved, "keys") else saved
        errors.fail("from_dict", must, got or "nothing")
    if odd := [name for name in saved if not isinstance(name, str)]:
        errors.fail("from_dict", "the names in saved must be text", odd[0])
    try:
        about = json.loads(np.asarray(_read(saved, ABOUT)).astype(np.uint8).tobytes())
        version, forms = about["version"], about["stored"]
        whole = type(version) is int and type(forms) is dict
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        errors.fail("from_dict", f"the entry {ABOUT!r} must be JSON with a version", str(error))
    if not whole:
        must = f"the entry {ABOUT!r} must have a whole number as version, and a dict of formats"
        errors.fail("from_dict", must, about)
    if not 1 <= version <= VERSION:
        must = f"saved must be of version {VERSION} or before"
        errors.fail("from_dict", must, version, instead="Install a newer gdjax.")
    for name, form in forms.items():
        if not is_form(form):
            errors.fail("from_dict", f"{name!r} must have the format of a quantized array", form)
    return version, forms


def _read(saved: Mapping[str, Any], name: str) -> Any:
    """The array of a name; an open file may be damaged there."""
    try:
        return saved[name]
    except Exception as error:
        got = f"{type(error).__name__} {error}".strip()
        errors.fail("from_dict", f"{name!r} must be readable", got)


class _Source:
    """A checkpoint, and the names that were read from it."""

    def __init__(self, saved: Mapping[str, Any], forms: dict[str, Any], strict: bool) -> None:
        self.saved, self.forms, self.strict = saved, forms, strict
        inside = tuple(f"{name}/" for name in forms)
        plain = [name for name in saved if name != ABOUT and not name.startswith(inside or ("\0",))]
        self.names = dict.fromkeys([*plain, *forms])  # in this order
        self.kept: dict[str, str] = {}
        self.changed: dict[str, str] = {}
        self.new: list[str] = []

    def look_at(self, names: list[Name]) -> None:
        """Learns the names of the new state, and which transformations take arrays of others.

        Those that are in it by their own names are taken again only beside one that is not: the
        count of a group beside the moments that moved to another, but no average for a new wrapper.
        """
        self.own = set(map(str, names))
        lacking = [] if self.strict else [name for name in names if str(name) not in self.names]
        moved = [name for name in lacking if not self.own.issuperset(self.others(name))]
        self.moved = {name[:3] for name in moved}

    def others(self, name: Name) -> list[str]:
        """The saved names that end as this one, from its owner on."""
        # Of several transformations of one name only those of the same number; the first of one
        # group, of all numbers: it may be any of them, and is none where they differ.
        number = f"_{name.number}" if name.number else r"(_\d+)?"
        path = "/" + "/".join(name.path)
        owner = re.compile(f"(.*/)?{re.escape(name.owner)}{number}")
        ends = [other for other in self.names if other.endswith(path)]
        return [other for other in ends if owner.fullmatch(other.removesuffix(path))]

    def restore(self, name: Name, leaf: Any) -> Any:
        """The saved array of this name, in the form of the array that `init` made."""
        theirs = self.find(name)
        if theirs is None:
            if self.strict:
                hint = errors.nearest(str(name), self.names)
                must = f"saved must have {str(name)!r}"
                errors.fail("from_dict", must, "none", instead=f"{hint} {LOOSE}".lstrip())
            self.new.append(str(name))
            return leaf
        old, here = as_known(self.read(theirs), leaf), form_of(leaf)
        there = self.forms.get(theirs) or form_of(old)
        found = fitted(old, leaf, there == here)
        if found is None or (self.strict and there != here):
            if self.strict:
                must = f"{theirs!r} must be {described(here)}, as in the state"
                errors.fail("from_dict", must, described(there), instead=LOOSE)
            self.new.append(str(name))
            return leaf
        self.kept[str(name)] = theirs
        if there != here:
            self.changed[str(name)] = f"{described(there)} to {described(here)}"
        return found

    def find(self, name: Name) -> str | None:
        """The name under which an array was saved; None if it was not."""
        known = next((one for one in _spellings(name) if one in self.names), None)
        if known is not None or self.strict:
            return known
        found = self.others(name)
        if name[:3] not in self.moved:
            found = [other for other in found if other not in self.own]
        if name.moves and name.path[-1] == "count" and not found:  # of what was a number
            found = [other for other in self.names if other.split("/")[-1] == "count"]
        same = found and all(np.array_equal(self.read(found[0]), self.read(x)) for x in found[1:])
        return found[0] if same else None

    def read(self, name: str) -> Any:
        """The array saved under a name, which may be quantized."""
        form = self.forms.get(name)
        parts = [f"{name}/{part}" for part in parts_of(form.get("format", ""))] if form else [name]
        values = [_read(self.saved, part) if part in self.saved else None for part in parts]  # once
        for part, value in zip(parts, values):
            dtype = getattr(value, "dtype", None)
            if not isinstance(dtype, np.dtype) and not is_key(value) or not hasattr(value, "shape"):
                errors.fail("from_dict", f"{part!r} must be an array", type(value).__name__)
        if name not in self.forms:
            return values[0]
        try:
            arrays = [as_known(value, jnp.zeros([], jnp.bfloat16)) for value in values]
            return Quantized.build(self.forms[name], [jnp.asarray(x) for x in arrays])
        except (TypeError, ValueError, ArithmeticError) as error:
            errors.fail("from_dict", f"{name!r} must be quantized as its format says", str(error))


def _spellings(name: Name) -> Iterator[str]:
    """The name of an array, and its older names: a scheduled value has its argument's name."""
    yield str(name)
    if name.moves:
        for old in former(name.path[-1]):
            yield str(name._replace(path=(*name.path[:-1], old), text=""))
