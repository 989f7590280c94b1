"""Coordinate check of muP on the character transformer, and the best rate by width.

    python docs/scripts/coordinate_check.py             both tables
    python docs/scripts/coordinate_check.py check       the sizes of outputs by width alone
    python docs/scripts/coordinate_check.py rates       the best rate by width alone

Yang et al., Tensor Programs V, 2022, https://arxiv.org/abs/2203.03466, appendix D.1: after a few
steps of Adam, the mean size of the change of each layer's output does not depend on the width.
"""

import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax.lab.charlm import Shape, charlm, features
from gdjax.lab.charlm_configs import line
from gdjax.programs import tables

WIDTHS, STEPS, RATE, BASE = (64, 128, 256, 512), 5, 3e-3, 64
RATES, LENGTH, SEEDS = [2.0**-k for k in range(4, 12)], 300, (0, 1, 2)
RESULTS = pathlib.Path(__file__).parent.parent / "data" / "coordinate_check.jsonl"
LAYERS = ("embedding", "block 1", "block 2", "logits")


def model(width, carried, batch=4):
    """The problem of a width and the rows of its rates, with muP or without."""
    shape = Shape(2, width // 32, width, 32, batch, width / BASE if carried else 1.0)
    problem = charlm(None, shape)
    shapes = lambda n: jax.eval_shape(charlm(None, shape._replace(width=n)).init, jax.random.key(0))
    rows = gd.width_groups(shapes(width), shapes(BASE), outputs="divided") if carried else ()
    return problem, shape, rows


def optimizer(rate, rows):
    """Adam, with groups where there are rows."""
    return gd.groups(gd.adam(rate), *rows) if rows else gd.adam(rate)


def train(problem, tx, steps, seed=0):
    """Parameters after some steps, and those before."""
    first, order = jax.random.split(jax.random.key(seed))
    params, batch = problem.init(first), problem.batches(order)

    def body(i, carry):
        grads = jax.grad(problem.loss)(carry[0], batch(i))
        return tx.step(grads, carry[1], carry[0])

    return params, jax.lax.fori_loop(0, steps, body, (params, tx.init(params)))[0]


def coordinates(width, carried, steps=STEPS, rate=RATE):
    """Mean |coordinate| of the change of each layer's output after some steps."""
    problem, shape, rows = model(width, carried)

    @jax.jit
    def change():
        before, after = train(problem, optimizer(rate, rows), steps)
        tokens = problem.batches(jax.random.key(9))(0)
        both = features(before, tokens, shape), features(after, tokens, shape)
        return [jnp.mean(jnp.abs(y - x)) for x, y in zip(*both)]

    return [float(x) for x in change()]


def slopes(sizes, widths=WIDTHS):
    """The exponent of each layer's size in the width; `sizes` is [widths, layers]."""
    return np.polyfit(np.log(widths), np.log(np.asarray(sizes)), 1)[0]


def losses(width, carried):
    """Validation losses after training, with a rate that falls linearly; [rates][seeds]."""
    problem, _, rows = model(width, carried, batch=16)

    @jax.jit
    def final(rate, seed):
        _, params = train(problem, optimizer(line(rate, LENGTH), rows), LENGTH, seed)
        return problem.loss(params, None)

    return [[round(float(final(rate, seed)), 4) for seed in SEEDS] for rate in RATES]


def vertex(rates, found):
    """log₂ of the best rate: the vertex of the parabola through the best one and its neighbours.

    Where a neighbour is missing or diverged, it is that of the best one itself.
    """
    x, y = np.log2(rates), np.nan_to_num(np.mean(found, axis=1), nan=np.inf)
    i = int(np.argmin(y))
    near = slice(i - 1, i + 2)
    if i == 0 or len(y[near]) < 3 or not np.isfinite(y[near]).all():
        return float(x[i])
    a, b, _ = np.polyfit(x[near] - x[i], y[near], 2)
    return float(x[i] - b / (2 * a))


def measured(what):
    """Runs, as lines of JSON."""
    for carried in (False, True):
        if what in ("check", "both"):
            for width in WIDTHS:
                sizes = [round(x, 6) for x in coordinates(width, carried)]
                yield {"kind": "check", "carried": carried, "width": width, "sizes": sizes}
        if what in ("rates", "both"):
            for width in (32, *WIDTHS[:3]):
                about = {"kind": "rates", "carried": carried, "width": width}
                yield about | {"rates": RATES, "losses": losses(width, carried)}


def kept():
    """The lines of JSON that the page is made from."""
    return [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]


def markdown(runs):
    """The tables of lines of JSON: sizes by width, best rate by width."""
    name = {False: "without", True: "with"}
    checks = [run for run in runs if run["kind"] == "check"]
    rates = [run for run in runs if run["kind"] == "rates"]
    rows = []
    for carried in (False, True):
        own = [run for run in checks if run["carried"] == carried]
        exponents = slopes([run["sizes"] for run in own], [run["width"] for run in own])
        for i, layer in enumerate(LAYERS):
            sizes = [f"{run['sizes'][i]:.4f}" for run in own]
            rows.append([name[carried], layer, *sizes, f"{exponents[i]:+.2f}"])
    head = ["`width_groups`", "layer", *map(str, WIDTHS), "exponent"]
    widths = sorted({run["width"] for run in rates})
    best = [[name[c], *(_best(run) for run in rates if run["carried"] == c)] for c in (False, True)]
    second = ["`width_groups`", *(f"width {w}" for w in widths)]
    return tables.markdown(head, rows), tables.markdown(second, best)


def _best(run):
    mean = np.mean(run["losses"], axis=1)
    i = int(np.nanargmin(mean))
    seeds = f"{mean[i]:.3f} ± {np.std(run['losses'][i], ddof=1):.3f}"
    return f"2^{vertex(run['rates'], run['losses']):.1f} ({seeds})"


def main(what="both"):
    """Measures, prints lines of JSON, and keeps them in the place of those of the same kind."""
    kinds = ("check", "rates") if what == "both" else (what,)
    others = [run for run in kept() if run["kind"] not in kinds]
    found = []
    for run in measured(what):
        found.append(run)
        print(json.dumps(run), flush=True)
    runs = sorted(others + found, key=lambda run: run["carried"])
    RESULTS.write_text("".join(json.dumps(run) + "\n" for run in runs), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
