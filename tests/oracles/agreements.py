"""What each factory agrees with, for `gdjax list`: read off `AGREE`, so it is what is tested.

`python -m tests.update gdjax/lab/oracles.json` writes it anew.
"""

import json

from tests.references import agreements, parts, recordings

__all__ = ["collect", "oracles_json"]

VERSIONS = {
    "torch": "2.13.0",
    "pytorch_optimizer": "4.1.0",
    "timm": "1.0.31",
    "keras": "3.15.0",
    "schedulefree": "1.4.1",
    "schedule_free": "70785b5",  # a commit of facebookresearch/schedule_free
    "prodigyopt": "1.1.2",
    "lion_pytorch": "0.2.5",
    "heavyball": "3.2.1",
    "optax": "0.2.8",
    "dadaptation": "3.2",
    "momo_opt": "0.1.0",
    "mechanic_pytorch": "0.0.1",
    "torch_optimizer": "0.3.0",
    "kron_torch": "0.3.3",
    "fira": "1.0.2",
}


def _source(reference):
    """A package with its version, or the transcription of the paper."""
    arguments = getattr(reference, "args", ())
    if len(arguments) != 2 or not all(isinstance(x, str) for x in arguments):
        return "NumPy"
    file, key = arguments
    made_by = _class_of(json.loads(str(recordings(file)["meta"])), key)
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


def collect():
    """`{factory: [reference, ...]}`, the packages first."""
    from tests.schedules import rows as schedules

    found = {}
    for entry in agreements().values():
        for name in parts(entry.tx):
            found.setdefault(name, set()).add(_source(entry.reference))
    for row in schedules.ROWS.values():
        found.setdefault(row.make().name, set()).add("closed form")
    for made in (make() for make in schedules.TORCHES.values()):
        if made.factory.is_ours:
            found.setdefault(made.name, set()).add(f"torch {VERSIONS['torch']}")
    order = lambda source: (source in ("NumPy", "closed form"), source)
    return {name: sorted(found[name], key=order) for name in sorted(found)}


def oracles_json():
    """The text of `gdjax/lab/oracles.json` as it should be."""
    return json.dumps(collect(), indent=1) + "\n"
