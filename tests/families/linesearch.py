"""L-BFGS and the searches along a line."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from gdjax.core.rule import tree

from ..oracles import problem
from ..oracles.rules import linesearch as rules
from ..row import Agree, Row, recorded, rule


def bowl(sign):
    """Extra arguments for which ± the updates are the gradient of a parabola at the parameters."""

    def extra(params, updates):
        grad = tree.map(lambda g: sign * g, updates)

        def value_fn(at):
            total = jnp.zeros([])
            for x, start, g in zip(*map(jax.tree.leaves, (at, params, grad))):
                if tree.differentiable(x):
                    g = jnp.asarray(g).astype(jnp.result_type(float))
                    d = x.astype(g.dtype) - start.astype(g.dtype)
                    curvature = 1.0 + 0.3 * jnp.arange(d.size, dtype=d.dtype).reshape(d.shape)
                    total = total + jnp.sum(d * (g + curvature * d))
            return total

        return {"value": jnp.zeros([]), "grad": grad, "value_fn": value_fn}

    return extra


ROWS = [
    Row(gd.lbfgs(1.0, memory_size=4), bowl(1)),
    Row(gd.lbfgs(linesearch=None), label="lbfgs-direction"),
    Row(gd.scale_by_lbfgs(3)),
    # Alone they search along the updates as they come, not along the descent.
    Row(gd.scale_by_backtracking_linesearch(20), bowl(-1)),
    Row(gd.scale_by_zoom_linesearch(20, 5.0), bowl(-1)),
    Row(
        gd.chain(gd.sgd(1.0), gd.scale_by_backtracking_linesearch(20, store_grad=True)),
        bowl(1),
        label="chain-backtracking",
    ),
    Row(
        gd.chain(gd.sgd(0.1), gd.scale_by_zoom_linesearch(20, approx_dec_rtol=None)),
        bowl(1),
        label="chain-zoom",
    ),
]


def loss(params, t):
    theta = jnp.concatenate([jnp.ravel(params["w"]), params["b"]])
    linear = jnp.asarray(problem.C) - 0.1 * jnp.asarray(problem.NOISE)[t]
    return 0.5 * theta @ (jnp.asarray(problem.H) @ theta) - linear @ theta


def search(params, grads, t):
    value_fn = lambda params: loss(params, t)
    return {"value": value_fn(params), "grad": grads, "value_fn": value_fn}


# torch makes its first step min(1, 1/|g|₁)·g long, here it is min(1, 1/‖g‖₂)·g.
_g = problem.gradient(problem.start(), 0)
FIRST = max(1.0, np.linalg.norm(_g)) / max(1.0, np.abs(_g).sum())


def torch_rate(t):
    return 0.7 * jnp.where(t == 0, FIRST, 1.0)


def momentum():
    return rules.heavy_ball(0.9)


def newton():
    return rules.quasi_newton(4)


def backtracking(options, tx=None, **arguments):
    """The search behind descent at a rate, against its transcription."""
    tx = gd.sgd(arguments["eta"]) if tx is None else tx
    tx = gd.chain(tx, gd.scale_by_backtracking_linesearch(**options))
    return Agree(tx, rule(rules.backtracking, loss=problem.loss, **arguments), extra=search)


def zoom(options, tx=None, **arguments):
    tx = gd.sgd(arguments["eta"]) if tx is None else tx
    tx = gd.chain(tx, gd.scale_by_zoom_linesearch(**options))
    return Agree(tx, rule(rules.zoom, loss=problem.loss, **arguments), extra=search)


AGREE = {
    "torch-lbfgs": Agree(
        gd.lbfgs(torch_rate, 60, linesearch=None), recorded("linesearch", "torch/lbfgs")
    ),
    "optax-backtracking": Agree(
        gd.chain(gd.sgd(2.0), gd.scale_by_backtracking_linesearch(40)),
        recorded("linesearch", "optax/backtracking"),
        extra=search,
    ),
    "lbfgs-rate": Agree(gd.lbfgs(0.3, 3, linesearch=None), rule(rules.lbfgs, eta=0.3, memory=3)),
    "lbfgs-identity": Agree(
        gd.chain(gd.scale_by_lbfgs(60, False), gd.scale_by_learning_rate(0.5)),
        rule(rules.lbfgs, eta=0.5, memory=60, scale_init=False),
    ),
    "lbfgs-zoom": Agree(
        gd.lbfgs(memory_size=4),
        rule(rules.zoom, loss=problem.loss, direction=newton, keep=False, most=20),
        extra=search,
    ),
    "backtracking": backtracking({"max_backtracking_steps": 30}, eta=3.0),
    "backtracking-options": backtracking(
        dict(
            max_backtracking_steps=5,
            slope_rtol=0.3,
            decrease_factor=0.6,
            increase_factor=2.5,
            max_learning_rate=2.0,
            atol=0.003,
            rtol=0.002,
            store_grad=True,
        ),
        eta=1.0,
        most=5,
        c1=0.3,
        shorter=0.6,
        longer=2.5,
        longest=2.0,
        atol=0.003,
        rtol=0.002,
    ),
    "backtracking-momentum": backtracking(
        {"max_backtracking_steps": 2, "slope_rtol": 0.5},
        gd.sgd(1.0, 0.9),
        eta=1.0,
        direction=momentum,
        most=2,
        c1=0.5,
    ),
    "zoom": zoom({"max_linesearch_steps": 20}, eta=0.05, most=20),
    "zoom-steep": zoom({"max_linesearch_steps": 20, "curv_rtol": 0.1}, eta=30.0, most=20, c2=0.1),
    "zoom-exact": zoom(
        dict(
            max_linesearch_steps=12,
            increase_factor=3.0,
            slope_rtol=0.2,
            curv_rtol=0.3,
            approx_dec_rtol=None,
            initial_guess_strategy="one",
        ),
        eta=0.1,
        keep=False,
        most=12,
        longer=3.0,
        c1=0.2,
        c2=0.3,
        eps=None,
    ),
    "zoom-bounded": zoom(
        dict(
            max_linesearch_steps=20,
            max_learning_rate=1.5,
            tol=0.02,
            slope_rtol=0.4,
            curv_rtol=0.5,
            approx_dec_rtol=0.05,
        ),
        eta=0.3,
        most=20,
        longest=1.5,
        tol=0.02,
        c1=0.4,
        c2=0.5,
        eps=0.05,
    ),
    "zoom-short": zoom(
        dict(max_linesearch_steps=3, curv_rtol=0.02, approx_dec_rtol=None),
        eta=8.0,
        most=3,
        c2=0.02,
        eps=None,
    ),
    "zoom-coarse": zoom(
        dict(max_linesearch_steps=20, curv_rtol=0.001, stepsize_precision=0.3),
        eta=1.0,
        most=20,
        c2=0.001,
        precision=0.3,
    ),
    "zoom-momentum": zoom(
        {"max_linesearch_steps": 6},
        gd.sgd(0.3, 0.9),
        eta=0.3,
        direction=momentum,
        most=6,
    ),
}
