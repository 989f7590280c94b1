"""What is compiled by hand for chips that are not here, too long for CI:

    python -m tests.programs.by_hand colab found.jsonl    # with jax[tpu]==0.7.2, numpy<2.3
    python -m tests.programs.by_hand pods found.jsonl     # with jax[tpu]==0.10.2
    python -m tests.programs.by_hand table found.jsonl    # the rows of a run as Markdown

A row is written as soon as it is known; a run that is started again goes on after the last one.
"""

from __future__ import annotations

import json
import pathlib
import sys

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

import gdjax as gd
from gdjax import programs
from gdjax.programs import tables
from tests import cases


def _shape(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def colab():
    """A step of every transformation of the catalogue on one v5e: two matrices, two vectors.

    Of longer sides eigenvectors are a program (QDWH) that needs 20 GB of memory to compile.
    """
    layers = {"up": _shape(128, 256), "down": _shape(256, 128)}
    params = {"layers": layers, "norm": _shape(128), "bias": _shape(256)}
    for name, row in cases.first().items():
        if name in cases.factories() and not row.extra and not row.batch:
            yield {"step": name}, lambda row=row: programs.report(row.tx, params, "v5e:1")


def dense(width=512, layers=4):
    """Layers of a language model, each matrix an array of its own."""
    one = {
        "q": _shape(width, width),
        "up": _shape(width, 4 * width),
        "down": _shape(4 * width, width),
        "norm": _shape(width),
    }
    return {"embed": _shape(32768, width), **{f"layer{i}": one for i in range(layers)}}


def experts(width=512):
    """Matrices of experts stacked as [layers, experts, in, out]."""
    up, down = _shape(4, 64, width, 2 * width), _shape(4, 64, 2 * width, width)
    return {"experts": {"up": up, "down": down}}


def pods():
    """Four optimizers on 64 and 256 chips: split by one axis of the mesh (FSDP) and by two.

    SOAP's matrices are small: on a TPU eigenvectors of sides above 256 are a large program.
    """
    stacked = {"matrix_axes": gd.matrix_axes({r".*/(up|down)": "n n in out"})}
    for width, names in ((512, ("adamw", "adafactor", "muon")), (64, ("soap",))):
        for about, params, how in _placed(width):
            for name in names:
                is_stacked = "experts" in about["model"] and name in ("muon", "soap")
                tx = getattr(gd, name)(1e-3, **(stacked if is_stacked else {}))
                report = lambda tx=tx, about=about, params=params, how=how: programs.report(
                    tx, params, about["chip"], **how
                )
                yield {**about, "step": name}, report


def _placed(width):
    """Chips, models and axes: how they are called, the parameters, and how they are split."""
    by = PartitionSpec
    for chip, n, two in (("v5p:4x4x4", 64, (16, 4)), ("v6e:16x16", 256, (16, 16))):
        one, two = {"data": n}, dict(zip(("data", "model"), two))
        rows = by(None, "data") if n == 64 else by(None, None, "data")
        for model, params, spec, mesh in (
            ("dense, FSDP", dense(width), by("data"), one),
            ("dense, 2-D", dense(width), by("data", "model"), two),
            ("experts, FSDP", experts(width), rows, one),
            ("experts, 2-D", experts(width), by(None, "data", None, "model"), two),
        ):
            for explicit in (False, True):
                about = {"chip": chip, "model": model, "axes": ["Auto", "Explicit"][explicit]}
                yield about, params, {"shardings": spec, "mesh": mesh, "explicit": explicit}


def _costs(found):
    """Bytes for each parameter of one device's share; all temporaries of a device."""
    share = found.parameters / int((found.chip.split(" × ") + ["1"])[1])
    kinds = {
        kind: [one.count, round(one.bytes / 1e6, 2)] for kind, one in found.collectives.items()
    }
    return {
        "bytes": round(found.bytes / share, 2),
        "temporary": round(found.temporary / share, 2),
        "temporary, MB": round(found.temporary / 1e6, 2),
        "kernels": found.kernels,
        "copies": found.copies,
        "collectives": "; ".join(f"{n} {kind}, {mb} MB" for kind, (n, mb) in kinds.items()) or "–",
    }


def main(what, path):
    file = pathlib.Path(path)
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if what == "table":
        head = [*rows[0]]
        print(tables.markdown(head, [[str(row.get(key, "–")) for key in head] for row in rows]))
        return
    for about, report in {"colab": colab, "pods": pods}[what]():
        if any(about.items() <= row.items() for row in rows):
            continue
        try:
            row = {**about, **_costs(report())}
        except Exception as error:
            row = {**about, "bytes": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
        print(row, flush=True)
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
