"""The public names of gdjax as its files say them: writes `gdjax/_exports.py`, `gdjax/states.py`.

    python -m tests.exports

A name is public if it stands in the `__all__` of a file in one of `ROOMS`. Nothing is imported, so
a file that nobody imports is read as any other.
"""

import ast
import pathlib
import textwrap

__all__ = ["COMMAND", "FILES", "exports_text", "public", "states_text"]

ROOT = pathlib.Path(__file__).parent.parent / "gdjax"
COMMAND = "python -m tests.update"
ROOMS = ("losses", "optimizers", "params", "run", "schedules", "transforms", "wrappers")
# Files outside of these, and files in them that help others: which of their names are public.
SOME = {
    "core/data/hyperparams.py": [
        "Decay",
        "Hyperparam",
        "LearningRate",
        "Mask",
        "NonNegative",
        "Number",
        "Positive",
        "WeightDecay",
    ],
    "core/data/schedule.py": ["Live", "Schedule", "live", "schedule"],
    "core/data/spec.py": ["build", "spec"],
    "core/engine/chain.py": ["chain"],
    "core/engine/numbers.py": ["InjectHyperparamsState"],
    "core/engine/rule.py": ["Child", "EmptyState", "Rule"],
    "core/engine/transformation.py": ["GradientTransformation", "apply_updates", "transformation"],
    "core/matrix/matrices.py": ["matrix_axes"],
    "losses/arrays.py": [],
    "optimizers/matrix/matrix_optimizer.py": [],
    "schedules/annotations.py": [],
    "schedules/interpolation.py": [],
    "sharding/zero.py": ["ZeroState"],
    "wrappers/guards/cond.py": [],
    "wrappers/select/edit_chain.py": ["Times", "times"],
}
STATEFUL = ("optimizers", "sharding", "transforms", "wrappers")  # where NamedTuples are states
BOTH = ("EmptyState",)  # stands beside the transformations as well: rules are written with it


def public(states: bool) -> dict[str, list[str]]:
    """The public names by module: the classes of states, or all others.

    Raises:
        ValueError: Two files define one name, or a file of `SOME` is gone.
    """
    files = {ROOT / path for path in SOME}
    files |= {f for room in ROOMS for f in (ROOT / room).rglob("*.py") if f.stem != "__init__"}
    found: dict[str, list[str]] = {}
    home: dict[str, str] = {}
    for file in sorted(files):
        if not file.exists():
            raise ValueError(f"{file} is gone: mend SOME in tests/exports.py.")
        module = ".".join(("gdjax", *file.relative_to(ROOT).with_suffix("").parts))
        for name, state in _names(file):
            if state != states and name not in BOTH:
                continue
            if name in home:
                raise ValueError(f"{home[name]} and {module} both define {name}: rename one.")
            home[name] = module
            found.setdefault(module, []).append(name)
    return {module: sorted(found[module]) for module in sorted(found)}


def _names(file: pathlib.Path) -> list[tuple[str, bool]]:
    """The public names of a file, and whether each is that of a class of states."""
    path, body = file.relative_to(ROOT), ast.parse(file.read_text("utf-8")).body
    bases = {n.name: [ast.unparse(b) for b in n.bases] for n in body if isinstance(n, ast.ClassDef)}
    tuples = [n for n in bases if "NamedTuple" in bases[n]]
    states = [n for n in tuples if path.parts[0] in STATEFUL or n.endswith("State")]
    lists = [n.value for n in body if isinstance(n, ast.Assign) and _target(n) == "__all__"]
    listed = ast.literal_eval(lists[0]) if lists else []
    some = SOME.get(path.as_posix(), listed)
    if unknown := set(some) - set(listed):
        raise ValueError(f"SOME in tests/exports.py has {unknown}, which {path} does not define.")
    return [(name, name in states) for name in some]


def _target(node: ast.Assign) -> str:
    return ast.unparse(node.targets[0])


def _text(doc: str, states: bool) -> str:
    """A module that imports the names and lists them in `__all__`, as many to a line as fit."""
    modules = public(states)
    lines = [_filled(f"from {module} import (", names) for module, names in modules.items()]
    every = sorted(f'"{name}"' for names in modules.values() for name in names)
    note = f"Written by `{COMMAND}` from the `__all__` of the files. Do not edit."
    return "\n".join([f'"""{doc}\n\n{note}\n"""\n', *lines, "", _filled("__all__ = [", every), ""])


def _filled(start: str, names: list[str]) -> str:
    """`start`, the names, and what closes; several lines of 100 characters where they must be."""
    close = {"(": ")", "[": "]"}[start[-1]]
    one = f"{start.removesuffix('(')}{', '.join(names)}{close if close == ']' else ''}"
    if len(one) <= 100:
        return one
    inside = textwrap.fill(
        ", ".join(names) + ",", 100, initial_indent="    ", subsequent_indent="    "
    )
    return f"{start}\n{inside}\n{close}"


def exports_text() -> str:
    """What `gdjax/_exports.py` has to be."""
    return _text("The public names of gdjax, and the files that define them.", states=False)


def states_text() -> str:
    """What `gdjax/states.py` has to be."""
    return _text("The classes of the states of all transformations.", states=True)


FILES = {"gdjax/_exports.py": exports_text, "gdjax/states.py": states_text}


if __name__ == "__main__":
    for path, make in FILES.items():
        (ROOT.parent / path).write_text(make(), "utf-8")
