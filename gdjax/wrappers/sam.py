"""Sharpness-aware minimization (SAM, ASAM)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gdjax.core.data.hyperparams import NonNegative
from gdjax.core.engine.rule import Child, EmptyState, Rule
from gdjax.core.engine.transformation import (
    GradientTransformation,
    apply_updates,
    call_update,
    transformation,
)
from gdjax.core.rule import errors, numerics, tree
from gdjax.core.rule.numerics import zero_count
from gdjax.core.rule.roles import Count, PerParam

__all__ = ["SAMState", "normalize_adaptively", "sam"]


class SAMState(NamedTuple):
    """State of `sam`."""

    steps_since_sync: Count  # steps of the adversary since the last descent
    opt_state: Any  # of `inner`
    adv_state: Any  # of the adversary
    cache: PerParam | None  # where the climb began; None in opaque mode


@transformation(kind="wrapper")
def sam(
    inner: Any,
    adv_optimizer: Any,
    every: int = 2,
    reset_state: bool = True,
    opaque_mode: bool = False,
    batch_axis_name: Any = None,
):
    """Sharpness-aware minimization (SAM): descends by the gradient at a perturbed point.

        θ' = θ − a(∇L(θ))                   ascent: a is the update of the adversary
        θ ← θ + u(∇L(θ'))                   descent from θ: u is the update of `inner`

    In the paper, the adversary is `chain(normalize(), sgd(ρ))`, so that θ' = θ + ρ·g/‖g‖; for ASAM
    it is `chain(normalize_adaptively(η), sgd(ρ))`.

    A step takes two gradients. By default each call takes one: the parameters are θ' after an odd
    call and θ after an even one; `gdjax.state.eval_params` returns θ at any time. In opaque mode
    one call is a step: it gets the gradient at θ and computes the others with the extra argument
    `grad_fn(params, i)`, where i = 0, 1, ... counts them.

    >>> import gdjax as gd, jax, jax.numpy as jnp
    >>> grad = jax.grad(lambda x: jnp.sum(x**2))
    >>> adversary = gd.chain(gd.normalize(), gd.sgd(0.1))
    >>> tx = gd.sam(gd.sgd(0.5), adversary, opaque_mode=True)
    >>> x = jnp.array([1.0])
    >>> tx.step(grad(x), tx.init(x), x, grad_fn=lambda x, i: grad(x))[0].round(6)
    Array([-0.1], dtype=float32)

    Args:
        inner: The optimizer of the descent.
        adv_optimizer: The adversary, an optimizer whose updates are subtracted in the ascent.
        every: Gradients of one step, 2 or more: all but the last are for the ascent.
        reset_state: Whether each ascent begins with a new state of the adversary.
        opaque_mode: Whether a call is a whole step.
        batch_axis_name: In opaque mode, axes of `shard_map` or `pmap` over which the gradients for
            the descent are averaged.

    Raises:
        ValueError: `update` was called without params, or `every` is less than 2.
        TypeError: In opaque mode, `update` was called without `grad_fn`.

    Reference: Foret, Kleiner, Mobahi and Neyshabur, Sharpness-aware minimization for efficiently
        improving generalization, 2020, https://arxiv.org/abs/2010.01412
    """
    if not isinstance(every, int) or every < 2:
        errors.fail("sam", "every must be an integer of 2 or more", every)

    def init(params):
        own = lambda p: jnp.copy(p) if tree.differentiable(p) else None
        cache = None if opaque_mode else jax.tree.map(own, params)
        return SAMState(zero_count(), inner.init(params), adv_optimizer.init(params), cache)

    def climb(grads: Any, state: Any, params: Any, extra: dict[str, Any]) -> tuple[Any, Any]:
        """The updates of the adversary, negated."""
        updates, adv_state = call_update(adv_optimizer, grads, state.adv_state, params, extra)
        return tree.map(jnp.negative, updates), state._replace(adv_state=adv_state)

    def descend(grads: Any, state: Any, start: Any, extra: dict[str, Any]) -> tuple[Any, Any]:
        updates, opt_state = call_update(inner, grads, state.opt_state, start, extra)
        state = state._replace(opt_state=opt_state, steps_since_sync=zero_count())
        return updates, state._replace(
            adv_state=adv_optimizer.init(start)
        ) if reset_state else state

    def begun(state: Any, params: Any) -> Any:
        """The parameters before the ascent; the current ones before its first step."""
        here = state.steps_since_sync == 0
        choose = lambda p, old: p if old is None else jnp.where(here, p, old)
        return jax.tree.map(choose, params, state.cache)

    def whole(updates, state, params=None, *, grad_fn, **extra):
        here, grads, start = _needed(params), updates, params
        for i in range(every - 1):
            moves, state = climb(grads, state, here, extra)
            here = apply_updates(here, moves)
            grads = grad_fn(here, i)
        if batch_axis_name is not None:
            grads = tree.map(lambda g: jax.lax.pmean(g, batch_axis_name), grads)
        return descend(grads, state, start, extra)

    def step(updates, state, params, **extra):
        start = begun(state, params)
        cache = jax.tree.map(lambda p, old: None if old is None else p, start, state.cache)
        state = state._replace(cache=cache)

        def up():
            moves, after = climb(updates, state, params, extra)
            after = after._replace(steps_since_sync=state.steps_since_sync + 1)
            return apply_updates(params, moves), after

        def down():
            moves, after = descend(updates, state, start, extra)
            return apply_updates(start, moves), after

        return jax.lax.cond(state.steps_since_sync < every - 1, up, down)

    def update(updates, state, params=None, **extra):
        after, state = step(updates, state, _needed(params), **extra)

        return tree.map(lambda g, there, here: there - here, updates, after, params), state

    def evaluate(state, params):
        if not opaque_mode:
            params = begun(state, params)
        if isinstance(inner, GradientTransformation):
            params = inner.evaluate(state.opt_state, params)
        return params

    children = (
        Child("inner", inner, at="opt_state"),
        Child("adv_optimizer", adv_optimizer, at="adv_state"),
    )
    if opaque_mode:
        return Rule(init, whole, evaluate=evaluate, children=children)
    return Rule(init, update, step, evaluate, children)


def _needed(params: Any) -> Any:
    errors.need_params("sam", params)
    return params


@transformation
def normalize_adaptively(eta: NonNegative = 0.01):
    """Adaptive normalization of the updates by the size of the parameters: the ascent of ASAM.

        T = |θ| + η        u = T²·g / ‖T·g‖

    With η = 0, ‖u‖ relative to the parameters is invariant under rescaling of the parameters. If g
    is 0 everywhere, u is 0.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> adversary = gd.chain(gd.normalize_adaptively(eta=0.0), gd.sgd(0.5))
    >>> params = jnp.array([1.0, 2.0])
    >>> adversary.update(jnp.array([3.0, 2.0]), adversary.init(params), params)[0]
    Array([-0.3, -0.8], dtype=float32)

    Args:
        eta: η ≥ 0, in the units of the parameters: the step of a parameter at zero.

    Raises:
        ValueError: `update` was called without params.

    Reference: Kwon, Kim, Park and Choi, ASAM: adaptive sharpness-aware minimization for
        scale-invariant learning of deep neural networks, 2021, https://arxiv.org/abs/2102.11600
    """

    def update(updates, state, params=None, **extra):
        errors.need_params("normalize_adaptively", params)
        size = lambda g, p: (jnp.abs(p) + eta).astype(g.dtype)
        scaled = tree.map(lambda g, p: size(g, p) * g, updates, params)
        length = tree.norm(scaled)

        def leaf(g, p):
            return size(g, p) * numerics.safe_divide(g, length.astype(g.dtype))

        return tree.map(leaf, scaled, params), state

    return Rule(lambda params: EmptyState(), update, couples=True)
