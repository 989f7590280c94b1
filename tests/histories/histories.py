"""Histories: one for each number, run, counted, shrunk, and printed as a program."""

from __future__ import annotations

import ast
import collections
import random
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.histories.machine import Refused, Run
from tests.histories.optimizers import BOOKKEEPING, random_optimizer
from tests.histories.trees import random_tree

BLOCK = 12  # neighbours that share an optimizer and a tree, and so the programs compiled for them


class History(NamedTuple):
    optimizer: str
    parameters: str
    actions: tuple[tuple[Any, ...], ...]

    def __str__(self) -> str:
        """The history as a program."""
        start = f"run = Run({self.optimizer!r}, {self.parameters!r})"
        calls = [f"run.{name}({', '.join(map(repr, args))})" for name, *args in self.actions]
        lines = [start, *(line for call in calls for line in (call, "run.check()"))]
        return "\n".join(["from tests.histories.machine import Run", "", *lines])


# How often, and the arguments.
ACTIONS: dict[str, tuple[float, Any]] = {
    "step": (8, lambda rng: (rng.choice(rng.how), rng.choice([1, 1, 2, 3, 7]))),
    "bad": (1.5, lambda rng: (rng.choice(["nan", "inf", "-inf"]), rng.choice([1, 1, 2, 100]))),
    "wrong": (1, lambda rng: (rng.choice(WRONG),)),
    "save": (2.5, lambda rng: (rng.choices(*zip(*FILES.items()))[0],)),
    "pickled": (1, lambda rng: ()),
    "look": (1.5, lambda rng: ()),
    "threads": (0.3, lambda rng: ()),
    "mesh": (0.15, lambda rng: (rng.choice([1, 2, 8]),)),
    "set_number": (0.7, lambda rng: (rng.choice([0.0, 0.01, 0.03]),)),
    "edit": (0.5, lambda rng: (rng.choice([0.01, 0.02]),)),
    "wrap": (0.3, lambda rng: (rng.randrange(len(BOOKKEEPING)),)),
    "unwrap": (0.5, lambda rng: ()),
    "change": (0.4, lambda rng: (rng.choice(["stage", "part", "schedule"]),)),
    "cast": (0.2, lambda rng: (rng.choice(["float32", "bfloat16", "float16"]),)),
}
HOW = ["eager", "donated", "update"]
WRONG = ["shape", "structure", "integers", "flags", "complex"]
FILES = {"npz": 5, "safetensors": 3, "msgpack": 3, "orbax": 0.2, "process": 0.01}


def history(number: int, whole_catalogue: bool = True) -> History:
    """The history of a number."""
    block = random.Random(f"block {number // BLOCK}")
    optimizer, parameters = random_optimizer(block, whole_catalogue), random_tree(block)
    rng = random.Random(f"history {number}")
    rng.how = ["jit", block.choice(HOW)]
    kinds, weights = list(ACTIONS), [weight for weight, _ in ACTIONS.values()]
    # Of programs that compile for long, one of a kind for a block.
    chosen = rng.choices(kinds, weights, k=rng.randint(4, 16))
    actions = []
    for kind in chosen:
        source = block if kind in ("mesh", "edit", "change") else rng
        actions.append((kind, *ACTIONS[kind][1](source)))
    return History(optimizer, parameters, tuple(actions))


class Fault(NamedTuple):
    """A history after which something does not hold."""

    history: History
    error: str

    def __str__(self) -> str:
        return f"{self.history}\n# {self.error}"


def play(one: History, counts: collections.Counter | None = None) -> Fault | None:
    """Runs a history; the first action after which something does not hold is the last."""
    counts = collections.Counter() if counts is None else counts
    done: list[Any] = []
    try:
        run = Run(one.optimizer, one.parameters)
        for action in one.actions:
            done.append(action)
            name, *args = action
            try:
                getattr(run, name)(*args)
            except Refused:
                counts["refused"] += 1
                continue
            run.check()
            counts[name] += 1
        counts["steps"] += run.number
    except Refused:
        counts["optimizers refused"] += 1
    except Exception as error:
        text = f"{type(error).__name__}: {error}".split("\n")[0][:600]
        return Fault(one._replace(actions=tuple(done)), text)
    counts["histories"] += 1
    return None


def kind_of(error: str) -> str:
    """An error without its numbers and names of arrays: what shrinking keeps."""
    return "".join(c for c in error.split("[")[0] if not c.isdigit())[:40]


def shrink(fault: Fault, seconds: float = 60.0) -> Fault:
    """A shorter history with the same kind of error: fewer actions, wrappers and parameters."""
    end, wanted, known = time.monotonic() + seconds, kind_of(fault.error), set()
    shorter = True
    while shorter:
        shorter = False
        for one in smaller(fault.history):
            if time.monotonic() > end:
                return fault
            if one in known:
                continue
            known.add(one)
            found = play(one)
            if found is not None and kind_of(found.error) == wanted:
                fault, shorter = found, True
                break
    return fault


def smaller(one: History) -> Iterator[History]:
    """Histories that are a part of this one."""
    n = len(one.actions)
    for size in (n // 2, n // 4, 1):
        for i in range(0, n, size) if size else ():
            yield one._replace(actions=one.actions[:i] + one.actions[i + size :])
    for text in parts_of(one.optimizer):
        yield one._replace(optimizer=text)
    for text in parts_of(one.parameters):
        yield one._replace(parameters=text)
    for i, (name, *args) in enumerate(one.actions):
        if args and args[-1] in (2, 3, 7, 100):
            action = (name, *args[:-1], 1)
            yield one._replace(actions=(*one.actions[:i], action, *one.actions[i + 1 :]))


def parts_of(text: str) -> Iterator[str]:
    """An expression with one call in place of a call around it, or with one item less."""
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        fields = [node.keys, node.values] if isinstance(node, ast.Dict) else []
        fields += [node.elts] if isinstance(node, (ast.List, ast.Tuple)) else []
        fields += [node.args] if isinstance(node, ast.Call) else []
        for i in range(len(fields[0]) if fields else 0):
            before = [list(field) for field in fields]
            for field in fields:
                del field[i]
            yield ast.unparse(tree)
            for field, old in zip(fields, before):
                field[:] = old
    for node in ast.walk(tree):
        for name, old in ast.iter_fields(node):
            if isinstance(old, ast.Call):
                yield from _replaced(tree, lambda new, n=node, f=name: setattr(n, f, new), old)
            for i, item in enumerate(old) if isinstance(old, list) else ():
                if isinstance(item, ast.Call):
                    yield from _replaced(tree, lambda new, o=old, i=i: o.__setitem__(i, new), item)


def _replaced(tree: Any, put: Any, old: ast.Call) -> Iterator[str]:
    inside = [*old.args, *(k.value for k in old.keywords)]
    for new in inside:
        if isinstance(new, ast.Call):
            put(new)
            yield ast.unparse(tree)
            put(old)
