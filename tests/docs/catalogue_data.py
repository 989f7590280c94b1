"""What the pages of the catalogue draw and list: `docs/data/catalogue.json`, made anew by

    python -m tests.docs.catalogue_data paths digits cpu      # all optimizers; names may follow
    python -m tests.docs.catalogue_data v5e:1                 # an environment with jax[tpu]
    python -m tests.docs.catalogue_data h200                  # one with the compiler for CUDA

`paths`: where an optimizer goes on Rosenbrock's function and in a straight valley, at the learning
rate of a sweep that ends lowest, which falls to zero in a straight line. `digits`: the distance
from the least loss after 500 steps of softmax regression, by learning rate. The chips: what a
compiled step costs, as `tests.programs.budgets` measures it; what is recorded there is left out
here. Numbers are those of jax 0.10.2 on a CPU.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax import programs
from gdjax.core.data.recipe import factories
from gdjax.core.engine.transformation import apply_updates, call_evaluate, call_update
from gdjax.core.rule import errors
from gdjax.lab import problems

from ..programs import budgets
from .scripts import landscapes

FILE = landscapes.FILE
CHIPS = ("cpu", "v5e:1", "h200")
# What an optimizer needs beside the rate.
GIVEN: dict[str, dict[str, Any]] = {
    "dpsgd": {"max_norm": 1.0, "noise_multiplier": 0.1, "key": 0},
    "apollo": {"rank": 1, "every": 10},
    "apollo_mini": {"every": 10},
    "fira": {"rank": 1, "every": 10},
    "galore": {"rank": 1, "every": 10},
}
ON_DIGITS: dict[str, dict[str, Any]] = {
    "dpsgd": {"max_norm": 1.0, "noise_multiplier": 1.0, "key": 0},
    "apollo": {"rank": 4, "every": 50},
    "apollo_mini": {"every": 50},
    "fira": {"rank": 4, "every": 50},
    "galore": {"rank": 4, "every": 50},
    "polyak_sgd": {"f_min": 0.26634696},
}
# Their rates stay as they are: one learns without a schedule, the other's is but its first step.
LEVEL = {"lbfgs", "rprop", "schedule_free_adamw", "schedule_free_plus_adamc", "schedule_free_sgd"}
# The greatest rates of a sweep: an angle, and a part of the way.
MOST = {"adam_hyperball": 0.3, "muon_hyperball": 0.3, "cocob": 1.0}
# Weights that are zero stay zero under them. Two keep the norm of the start: that of the minimizer.
NOT_FROM_ZERO = {"adam_hyperball", "muon_hyperball", "muown"}
NORM_ON_DIGITS = 15.636
# A step of these needs a loss beside gradients, so that its program is not one of gradients alone.
WITHOUT_A_PROGRAM = {"dpsgd", "lbfgs", "momo", "momo_adam", "muon_clip", "polyak_sgd", "sophia"}
WITHOUT_A_PROGRAM |= {"schedule_free_plus_adamc"}


def optimizers() -> list[str]:
    """Their names."""
    return sorted(n for n, f in factories().items() if f.is_ours and f.kind == "optimizer")


def made(name: str, rate: Any, given: dict[str, dict[str, Any]]) -> Any:
    """The optimizer at a learning rate, or at what stands for one."""
    swept = landscapes.rate_of(name)
    rates = {} if swept is None else {swept: rate}
    if name == "adamc":
        rates["max_learning_rate"] = rate
    return getattr(gd, name)(**rates, **given.get(name, {}))


def descend(tx: Any, loss: Any, start: Any, steps: int, per_example: Any = None) -> Any:
    """The parameters to evaluate at, and the losses: `steps` + 1 of each."""

    def body(carry: Any, _: None) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        given = per_example(params) if per_example else grads
        extra = {"value": value, "grad": grads, "value_fn": loss, "obj_fn": loss}
        extra |= {"max_logits": jnp.zeros(())}
        seen = call_evaluate(tx, state, params)
        updates, state = call_update(tx, given, state, params, extra)
        return (apply_updates(params, updates), state), (seen, loss(seen))

    (params, state), (path, losses) = jax.lax.scan(body, (start, tx.init(start)), length=steps)
    last = call_evaluate(tx, state, params)
    return jax.tree.map(lambda xs, x: jnp.append(xs, x[None], axis=0), path, last), jnp.append(
        losses, loss(last)
    )


def paths(name: str) -> dict[str, dict[str, Any]]:
    """The path of the best rate of a sweep, in thousandths, and this rate; for each place."""
    matrix = landscapes.is_matrix(name)
    # A matrix whose singular values are the two numbers, and whose other entries stay zero.
    two = (lambda p: jnp.stack([p[0, 0], p[1, 1]])) if matrix else (lambda p: p)
    rest = (lambda p: 0.5 * (p[0, 1] ** 2 + p[1, 0] ** 2)) if matrix else (lambda p: 0.0)
    steps = landscapes.STEPS
    places = list(landscapes.PLACES.values())

    def run(rate: Any, place: Any) -> Any:
        """One program for both places, `place` being 0 or 1."""
        pick = lambda values: (1 - place) * values[0] + place * values[1]
        loss = lambda p: pick([at.loss(two(p)) for at in places]) + rest(p)
        each = (lambda p: jax.grad(loss)(p)[None]) if name == "dpsgd" else None
        start = pick(jnp.asarray([at.start for at in places]))
        if name not in LEVEL and rate is not None:
            rate = gd.linear_to_zero(rate, steps)
        tx = made(name, rate, GIVEN)
        points, losses = descend(tx, loss, jnp.diag(start) if matrix else start, steps, each)
        return jax.vmap(two)(points), losses

    if landscapes.rate_of(name) is None:  # it finds by itself how far to go
        points, losses = jax.vmap(lambda place: run(None, place))(jnp.arange(2.0))
        points, losses, rates = np.asarray(points)[None], np.asarray(losses)[None], None
    else:
        rates = np.geomspace(1e-6, 1e3, 73)
        rates = rates[rates <= MOST.get(name, np.inf)]
        program = jax.vmap(jax.vmap(run, (None, 0)), (0, None))
        points, losses = jax.jit(program)(jnp.asarray(rates, float), jnp.arange(2.0))
        points, losses = np.asarray(points), np.asarray(losses)
    found = {}
    for i, (where, place) in enumerate(landscapes.PLACES.items()):
        best = lowest(losses[:, i], points[:, i], place.box)
        shown = np.clip(np.rint(1000 * points[best, i]), -20000, 20000).astype(int)
        rate = None if rates is None else float(f"{rates[best]:.3g}")
        end = float(f"{losses[best, i, -1]:.3g}")
        found[where] = {"rate": rate, "loss": end, "path": shown.ravel().tolist()}
    return found


def lowest(losses: np.ndarray, points: np.ndarray, box: tuple[float, ...]) -> int:
    """The run that ends lowest, among those that stay in the picture."""
    score = np.log10(np.maximum(losses[:, -5:], 1e-6)).mean(axis=1)
    left, right, bottom, top = box
    inside = (points >= [left, bottom]) & (points <= [right, top])
    return int(np.argmin(np.where(inside.all(axis=(1, 2)), score, np.inf)))


def digits(name: str) -> dict[str, Any]:
    """The final gaps by rate; of an optimizer without one the gaps by step."""
    problem = problems.digits()
    start = problem.init(jax.random.key(0))
    if name in NOT_FROM_ZERO:
        start = jax.random.normal(jax.random.key(0), start.shape)
        start *= NORM_ON_DIGITS / jnp.linalg.norm(start)
    each = per_example if name == "dpsgd" else None
    gap = lambda losses: [
        float(f"{max(x, landscapes.FLOOR):.3g}") for x in losses - problem.optimum
    ]

    def run(rate: Any) -> Any:
        tx = made(name, rate, ON_DIGITS)
        return descend(tx, problem.loss, start, problem.steps, each)[1]

    if landscapes.rate_of(name) is None:
        return {"steps": gap(np.asarray(jax.jit(run, static_argnums=0)(None), np.float64)[:101])}
    found: dict[int, float] = {}  # by twice the logarithm of the rate
    wanted, program = list(range(-8, 5)), jax.jit(jax.vmap(lambda rate: run(rate)[-1]))
    while wanted:
        rates = jnp.asarray([10.0 ** (k / 2) for k in wanted], float)
        found |= dict(zip(wanted, np.asarray(program(rates), np.float64).tolist()))
        ks = sorted(found)
        best = min(ks, key=lambda k: found[k] if np.isfinite(found[k]) else np.inf)
        wanted = [best + i for i in range(-3, 4) if -16 <= best + i <= 16]
        wanted = [k for k in wanted if k not in found] if best in (ks[0], ks[-1]) else []
    ks = sorted(found)
    losses = np.nan_to_num([found[k] for k in ks], nan=np.inf)
    shown = [x if np.isfinite(x) else None for x in gap(losses)]
    return {"rates": [float(f"{10 ** (k / 2):.3g}") for k in ks], "gaps": shown}


def per_example(params: Any) -> Any:
    """Gradients on digits, one for each image."""
    x, y = problems.digits_data()[0]
    one = lambda p, x, y: problems.digits().loss(p, (x[None], y[None]))
    return jax.vmap(jax.grad(one), (None, 0, 0))(params, jnp.asarray(x), jnp.asarray(y))


def cost(name: str, chip: str) -> dict[str, Any] | None:
    """What a step costs on a chip, None where a step needs more than gradients."""
    if name in WITHOUT_A_PROGRAM:
        return None
    tx = made(name, 1.0 if name == "prodigy" else 1e-3, ON_DIGITS)
    return budgets.figures(programs.report(tx, programs.models.small(), chip))


def measured(what: str, name: str) -> Any:
    """One entry of the file."""
    measures = {"paths": paths, "digits": digits}
    return measures[what](name) if what in measures else cost(name, what)


def write(data: dict[str, Any]) -> None:
    """One line for each entry, so that differences are read."""
    line = lambda x: json.dumps(x, separators=(",", ":"))
    parts = []
    for what in sorted(data):
        rows = ",\n".join(f'"{n}":{line(data[what][n])}' for n in sorted(data[what]))
        parts.append(f'"{what}":{{\n{rows}\n}}')
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


def main(argv: list[str]) -> None:
    """Measures what is asked for, of the optimizers named, and keeps the rest of the file."""
    known = ("paths", "digits", *CHIPS)
    asked = [word for word in argv if word in known]
    names = [word for word in argv if word not in known] or optimizers()
    if unknown := set(names) - set(optimizers()):
        errors.fail("catalogue_data", "names must be optimizers", ", ".join(sorted(unknown)))
    for what in asked:
        known = budgets.recorded().get(what, {})  # which need no second record
        for name in (name for name in names if name not in known):
            entry = measured(what, name)
            data = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
            data.setdefault(what, {})[name] = entry
            write(data)
            print(what, name, flush=True)
            jax.clear_caches()


if __name__ == "__main__":
    main(sys.argv[1:])
