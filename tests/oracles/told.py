"""What each factory agrees with, for `gdjax list`: `python -m tests.oracles.told` writes it.

It is read off the tables of the families, so it tells what the tests test.
"""

import json
import pathlib

import jax

import gdjax as gd

from ..row import recordings

__all__ = ["PATH", "parts", "told"]

PATH = pathlib.Path(gd.__file__).parent / "lab" / "oracles.json"
VERSIONS = {
    "torch": "2.13.0",
    "pytorch_optimizer": "4.1.0",
    "timm": "1.0.31",
    "keras": "3.15.0",
    "schedulefree": "1.4.1",
    "prodigyopt": "1.1.2",
    "lion_pytorch": "0.2.5",
    "heavyball": "3.2.1",
    "optax": "0.2.8",
    "dadaptation": "3.2",
    "momo_opt": "0.1.0",
    "mechanic_pytorch": "0.0.1",
    "torch_optimizer": "0.3.0",
    "kron_torch": "0.3.3",
}


def parts(tx):
    """The names of a transformation and of all that it is made of."""
    yield tx.name
    inside = jax.tree.leaves(tx.given, is_leaf=_is_ours)
    body = tx.example()
    for part in filter(_is_ours, [*inside, body]):
        yield from parts(part)


def _is_ours(x):
    return isinstance(x, gd.GradientTransformation)


def _source(reference):
    """A package with its version, or the transcription of the paper."""
    arguments = getattr(reference, "args", ())
    if len(arguments) != 2 or not all(isinstance(x, str) for x in arguments):
        return "NumPy"
    family, key = arguments
    made_by = _class_of(json.loads(str(recordings(family)["meta"])), key)
    package = (made_by or key).split("/")[0].split(".")[0].replace("-", "_")
    package = package if package in VERSIONS else "torch" if "/" not in key else key.split("/")[0]
    package = package.replace("-", "_")
    return f"{package} {VERSIONS[package]}"


def _class_of(meta, key):
    """The class that made a recording, where its script has written it down."""
    for name, value in meta.items() if isinstance(meta, dict) else ():
        if name == key and isinstance(value, dict):
            return value.get("class") or value.get("made_by")
        if found := _class_of(value, key):
            return found
    return None


def told():
    """`{factory: [oracle, ...]}`, the packages first."""
    from .. import test_schedules
    from ..families import AGREE

    found = {}
    for entry in AGREE.values():
        for name in parts(entry.tx):
            found.setdefault(name, set()).add(_source(entry.reference))
    for row in test_schedules.ROWS.values():
        found.setdefault(row.make().name, set()).add("closed form")
    for make in test_schedules.TORCHES.values():
        found.setdefault(make().name, set()).add(f"torch {VERSIONS['torch']}")
    order = lambda source: (source in ("NumPy", "closed form"), source)
    return {name: sorted(found[name], key=order) for name in sorted(found)}


if __name__ == "__main__":
    PATH.write_text(json.dumps(told(), indent=1) + "\n")
    print(f"Wrote {PATH.name}: {len(told())} factories")
