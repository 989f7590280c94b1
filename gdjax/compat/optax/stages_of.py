"""The stages of a state in order, at any nesting: for `convert`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["CLOCKS", "Stage", "joined", "keys", "rebuild", "split"]

# Fields of states, of either library, that hold the states of other transformations.
INNER = (
    "inner_state",
    "inner_states",
    "inner_opt_state",
    "base_optimizer_state",
    "fast_state",
    "opt_state",
    "adv_state",
)
# States that count steps for a schedule: optax's stand where the number is used, ours around.
CLOCKS = {
    "InjectHyperparamsState",
    "InjectStatefulHyperparamsState",
    "ScaleByScheduleState",
    "WeightDecaySchedule",
}
# States that describe the last update, and on which nothing depends.
RECORDS = {"ClipByGlobalNormState"}
# Numbers that one library keeps in the state though they stay as they are.
CONSTANTS = {"ns_coeffs"}


class Stage(NamedTuple):
    """A state with fields of its own, or the state of a schedule."""

    path: str
    state: Any
    before: bool = False  # whether something without fields, as a rate, stands between it and
    after: bool = False  # the stage before it, or after it

    @property
    def kind(self) -> str:
        """The name of its class."""
        return type(self.state).__name__

    @property
    def fields(self) -> list[str]:
        """Its fields with arrays to keep."""
        return [n for n in self.state._fields if n not in INNER and n not in CONSTANTS]


def joined(path: str, name: Any) -> str:
    """A path and one step more."""
    return f"{path}/{name}".lstrip("/")


def _stages(node: Any, path: str = "", order: tuple = ()) -> Iterator[Stage | None]:
    """The stages in order, at any nesting; None for one without fields."""
    if isinstance(node, Mapping):
        known = {key: i for i, key in enumerate(order)}
        for key in sorted(node, key=lambda k: known.get(k, len(known))):
            yield from _stages(node[key], joined(path, key), order)
    elif hasattr(node, "_fields"):
        stage = Stage(path, node)
        if stage.fields or not node._fields:
            yield stage if stage.fields else None
        for name in (n for n in node._fields if n in INNER):
            yield from _stages(getattr(node, name), joined(path, name), order)
    elif isinstance(node, (tuple, list)):
        for i, part in enumerate(node):
            yield from _stages(part, joined(path, i), order)


def keys(node: Any) -> Iterator[Any]:
    """The keys of all dicts of states, in order."""
    if isinstance(node, Mapping):
        for key, part in node.items():
            yield key
            yield from keys(part)
    elif hasattr(node, "_fields"):
        for name in (n for n in node._fields if n in INNER):
            yield from keys(getattr(node, name))
    elif isinstance(node, (tuple, list)):
        for part in node:
            yield from keys(part)


def split(node: Any, order: tuple) -> tuple[list[Stage], list[Stage]]:
    """The stages with the state of rules, and those that count steps for schedules."""
    stages, clocks, gap = [], [], False
    for stage in _stages(node, order=order):
        if stage is not None and stage.kind not in CLOCKS | RECORDS:
            stages.append(stage._replace(before=gap and bool(stages)))
            gap = False
            continue
        if stage is not None and stage.kind in CLOCKS:
            clocks.append(stage)
        if stage is None or not hasattr(stage.state, "inner_state"):
            gap = True
            stages[-1:] = [last._replace(after=True) for last in stages[-1:]]
    return stages, clocks


def rebuild(node: Any, values: dict[str, dict[str, Any]], path: str = "") -> Any:
    """A state with other values in the fields of its stages, by path."""
    kind: Any = type(node)
    if isinstance(node, Mapping):
        return kind({k: rebuild(v, values, joined(path, k)) for k, v in node.items()})
    if hasattr(node, "_fields"):
        inner = {
            name: rebuild(getattr(node, name), values, joined(path, name))
            for name in node._fields
            if name in INNER
        }
        return node._replace(**{**inner, **values.get(path, {})})
    if isinstance(node, (tuple, list)):
        return kind(rebuild(v, values, joined(path, i)) for i, v in enumerate(node))
    return node
