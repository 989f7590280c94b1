"""The public names of gdjax as its files say them: writes the stubs that `gdjax` is loaded by.

A name is public if it stands in the `__all__` of a file in one of `ROOMS`. Nothing is imported, so
a file that nobody imports is read as any other.
"""

import ast
import pathlib

__all__ = ["COMMAND", "FILES", "exports_text", "public", "states_text"]

ROOT = pathlib.Path(__file__).parent.parent / "gdjax"
COMMAND = "python -m tests.update"
MODULES = (
    *("compat", "contract", "lab", "losses", "params", "plots", "programs"),
    *("projections", "recipes", "sharding", "state", "states"),
)
ROOMS = ("losses", "optimizers", "params", "run", "schedules", "transforms", "wrappers")
# Files outside of these, and files in them that help others: which of their names are public.
SOME = {
    "core/data/build.py": ["build"],
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
    "core/data/spec.py": ["spec"],
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
    some = SOME.get(path.as_posix(), ast.literal_eval(lists[0]) if lists else [])
    defined = {getattr(n, "name", None) for n in body}
    defined |= {_target(n) for n in body if isinstance(n, (ast.Assign, ast.AnnAssign))}
    if path.as_posix() in SOME and (unknown := set(some) - defined):
        raise ValueError(f"SOME in tests/exports.py has {unknown}, which {path} does not define.")
    return [(name, name in states) for name in some]


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])


def _text(doc: str, states: bool) -> list[str]:
    """A stub, by lines: `x as x` is how one says that a name is public."""
    note = f"Written by `{COMMAND}` from the `__all__` of the files. Do not edit."
    lines = [f'"""{doc}', "", note, '"""', ""]
    for module, names in public(states).items():
        lines.append(f"from {module} import {', '.join(f'{n} as {n}' for n in names)}")
    return lines


def exports_text() -> str:
    """What `gdjax/__init__.pyi` has to be."""
    lines = _text("The public names of gdjax, and the files that define them.", states=False)
    modules = (f"from gdjax import {name} as {name}" for name in MODULES)
    return "\n".join([*lines, *modules, "", "__version__: str", ""])


def states_text() -> str:
    """What `gdjax/states.pyi` has to be."""
    return "\n".join([*_text("The classes of the states of all transformations.", True), ""])


FILES = {"gdjax/__init__.pyi": exports_text, "gdjax/states.pyi": states_text}
