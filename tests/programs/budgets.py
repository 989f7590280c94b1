"""What steps cost on chips that are not here, recorded: `budgets.json`, made anew by

    python -m tests.programs.budgets v5e        # an environment with jax[tpu] and optax
    python -m tests.programs.budgets h200       # one with the compiler for CUDA and optax

Numbers are those of jax 0.10.2 and `models.small`, float32 parameters, one donated step.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys

from jax.sharding import PartitionSpec

import gdjax as gd
from gdjax import programs
from gdjax.programs import tables

FILE = pathlib.Path(__file__).with_suffix(".json")
RATE = 1e-3
# On several chips parameters are split by their first axis, in both kinds of axes.
PLACES = {
    "v5e:1": {},
    "v5e:2x4": {"shardings": PartitionSpec("data")},
    "v5e:2x4 explicit": {"shardings": PartitionSpec("data"), "explicit": True},
    "h200": {},
}


def _clipped(o):
    rate = o.cosine_decay_schedule(RATE, 1000)
    return o.chain(o.clip_by_global_norm(1.0), o.adamw(rate))


# Ours, and the same of optax where it has it.
STEPS = {
    "sgd": lambda o: o.sgd(RATE),
    "momentum": lambda o: o.sgd(RATE, momentum=0.9),
    "adamw": lambda o: o.adamw(RATE),
    "lion": lambda o: o.lion(RATE),
    "lamb": lambda o: o.lamb(RATE),
    "adafactor": lambda o: o.adafactor(RATE),
    "clip + adamw + schedule": _clipped,
    "muon": lambda o: (o if o is gd else o.contrib).muon(RATE),
    "prodigy": lambda o: (o if o is gd else o.contrib).prodigy(1.0),
    "schedule_free_adamw": lambda o: (o if o is gd else o.contrib).schedule_free_adamw(RATE),
    "accumulate(adamw, 4)": lambda o: (
        gd.accumulate(gd.adamw(RATE), 4)
        if o is gd  # which leaves out what is not finite
        else o.MultiSteps(o.adamw(RATE), 4, should_skip_update_fn=o.skip_not_finite)
    ),
    "apply_if_finite(adamw)": lambda o: (
        gd.apply_if_finite(gd.adamw(RATE)) if o is gd else o.apply_if_finite(o.adamw(RATE), 5)
    ),
    "with_ema(adamw)": lambda o: gd.with_ema(gd.adamw(RATE), 0.999),
    "with_master_weights(adamw)": lambda o: gd.with_master_weights(gd.adamw(RATE)),
    "store(adamw, bf16)": lambda o: gd.store(gd.adamw(RATE), "bf16"),
}
OURS_ALONE = {"with_ema(adamw)", "with_master_weights(adamw)", "store(adamw, bf16)"}

# README's rows, and what `gdjax bench` calls them.
IN_README = {
    "adamw": "adamw",
    "lion": "lion",
    "adafactor": "adafactor",
    "clip + adamw + schedule": "clip + adamw + schedule + mask",
    "accumulate(adamw, 4)": "accumulate(adam, 4)",
    "apply_if_finite(adamw)": "apply_if_finite(adam)",
}


def figures(found):
    """Bytes and temporaries a parameter, kernels and copies of a report."""
    return {
        "bytes": round(found.bytes_a_parameter, 2),
        "temporary": round(found.temporary_a_parameter, 2),
        "kernels": found.kernels,
        "copies": found.copies,
    }


def measured(place, name, library=gd):
    """The costs of one step: bytes and temporaries a parameter, kernels, copies, collectives."""
    chip = place.split()[0]
    tx = STEPS[name](library)
    found = programs.report(tx, programs.models.small(), chip, **PLACES[place])
    sent = {kind: traffic.count for kind, traffic in found.collectives.items()}
    return {**figures(found), "collectives": sent}


def recorded():
    """The costs by place and name: ours, and optax's."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def markdown():
    """The table of the docs: for one chip of each kind, ours and optax's."""
    shown = {"v5e:1": "v5e", "h200": "H200"}
    figures = ("bytes", "temporary", "kernels", "copies")
    head = ["step", *(f"{chip}: {figure}" for chip in shown.values() for figure in figures)]
    rows = []
    for name in STEPS:
        row = [name]
        for place in shown:
            costs = recorded()[place][name]
            for figure in figures:
                theirs = costs.get("optax", {}).get(figure)
                row.append(
                    f"{costs['gdjax'][figure]} ({theirs})"
                    if theirs is not None
                    else f"{costs['gdjax'][figure]}"
                )
        rows.append(row)
    return tables.markdown(head, rows)


def speeds(benchmarks):
    """README's table: clocks from the page of benchmarks, bytes on chips from the budgets."""
    head = ["step", "CPU: time, optax = 1", "H200: bytes a parameter", "TPU v5e: bytes a parameter"]
    clocks = benchmarks.split("| Compiled step, 8 million parameters")[1]
    rows = []
    for name, clocked in IN_README.items():
        row = re.search(rf"^\| {re.escape(clocked)} \|(.*)\|$", clocks, re.M)
        ours, theirs = (float(cell) for cell in row[1].split("|")[:2])
        cells = [f"{ours / theirs:.2f}"]
        for place in ("h200", "v5e:1"):
            costs = recorded()[place][name]
            cells.append(f"{costs['gdjax']['bytes']:.1f} ({costs['optax']['bytes']:.1f})")
        rows.append([f"`{name}`", *cells])
    return tables.markdown(head, rows)


def main(chip):
    import optax

    known = recorded()
    for place in [place for place in PLACES if place.startswith(chip)]:
        rows = known.setdefault(place, {})
        for name in STEPS:
            row = {"gdjax": measured(place, name)}
            if name not in OURS_ALONE:
                try:
                    row["optax"] = measured(place, name, optax)
                except Exception as error:  # on Explicit axes some of optax's cannot be traced
                    row["optax"] = str(error).splitlines()[0]
            rows[name] = row
            print(place, name, row, flush=True)
            FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
