"""What has another signature, other defaults or another convention in optax than in gdjax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from gdjax.compat.namespacing import named
from gdjax.compat.optax.lookahead import TwoTrees, both
from gdjax.core.engine.chain import chain as _chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import call_update
from gdjax.core.rule import errors
from gdjax.optimizers.adam import adam as _adam
from gdjax.optimizers.adam import adan as _adan
from gdjax.optimizers.adaptive import adagrad as _adagrad
from gdjax.optimizers.adaptive import rmsprop as _rmsprop
from gdjax.optimizers.factored import adafactor as _adafactor
from gdjax.optimizers.layerwise import novograd as _novograd
from gdjax.optimizers.sgd import noisy_sgd as _noisy
from gdjax.optimizers.sgd import optimistic as _optimistic
from gdjax.optimizers.sign import lion as _lion
from gdjax.schedules import join as _join
from gdjax.transforms import basic as _basic
from gdjax.transforms import decay as _decay
from gdjax.transforms import momentum as _momentum
from gdjax.transforms import noise as _noise

__all__ = [
    "ScaleByRStdDevState",
    "adafactor",
    "adagrad",
    "add_noise",
    "chain",
    "join_schedules",
    "nadam",
    "nadamw",
    "named_chain",
    "noisy_sgd",
    "optimistic_adam",
    "optimistic_adam_v2",
    "rmsprop",
    "scale_by_adan",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_novograd",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "stateless",
    "stateless_with_tree_map",
]

ScaleByRStdDevState = _rmsprop.ScaleByStdDevState


def chain(*args: Any) -> Any:
    """Applies transformations one after another; a plain pair where `lookahead` is among them."""
    if not any(isinstance(tx, TwoTrees) for tx in args):
        return _chain(*args)

    first = next(i for i, tx in enumerate(args) if isinstance(tx, TwoTrees))

    def seen(i: int, params: Any) -> Any:  # up to lookahead there are the fast parameters alone
        return both(params).fast if i < first else params

    def init(params: Any) -> tuple:
        return tuple(tx.init(seen(i, params)) for i, tx in enumerate(args))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, tuple]:
        after = []
        for i, (tx, inner) in enumerate(zip(args, state)):
            updates, inner = call_update(tx, updates, inner, seen(i, params), extra)
            after.append(inner)
        return updates, tuple(after)

    return TwoTrees(init, update)


def named_chain(*args: tuple[str, Any]) -> Any:
    """Applies transformations with names one after another; the state is a dict."""
    return _chain(**dict(args))


def stateless(f: Callable[[Any, Any], Any]) -> Any:
    """Makes a transformation of a function of updates and parameters (or None)."""
    return _basic.stateless(f)


@named("optax")
def stateless_with_tree_map(f: Callable[[Any, Any], Any]):
    """Makes a transformation of a function of one update and one parameter (or None).

    >>> from gdjax.compat import optax
    >>> import jax.numpy as jnp
    >>> tx = optax.stateless_with_tree_map(lambda g, p: g - p)
    >>> tx.update({"w": jnp.ones(1)}, tx.init(None), {"w": jnp.ones(1)})[0]
    {'w': Array([0.], dtype=float32)}
    """

    def update(updates, state, params=None, **extra):
        if params is None:
            return jax.tree.map(lambda g: f(g, None), updates), state
        return jax.tree.map(f, updates, params), state

    return lambda params: EmptyState(), update


def scale_by_rss(initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> Any:
    """Divides by the root of the sum of squares and ε."""
    return _adagrad.scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt=True)


def adagrad(learning_rate: Any, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> Any:
    """AdaGrad whose sum starts at 0.1, with ε under the root."""
    return _adagrad.adagrad(learning_rate, initial_accumulator_value, eps, eps_in_sqrt=True)


def scale_by_rms(
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Any:
    """Divides by the root of the mean square, ε under it."""
    return _rmsprop.scale_by_rms(decay, eps, initial_scale, eps_in_sqrt, bias_correction)


def scale_by_stddev(
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Any:
    """Divides by the standard deviation, ε under the root."""
    return _rmsprop.scale_by_stddev(decay, eps, initial_scale, eps_in_sqrt, bias_correction)


def rmsprop(
    learning_rate: Any,
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Any = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Any:
    """RMSProp with ε under the root, and with momentum after the rate instead of before it."""
    rule = _rmsprop.scale_by_stddev if centered else _rmsprop.scale_by_rms
    parts = [
        rule(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        _basic.scale_by_learning_rate(learning_rate),
    ]
    if momentum is not None:
        parts.append(_momentum.trace(momentum, nesterov))
    return _chain(*parts)


def scale_by_learning_rate(learning_rate: Any = None, *, flip_sign: bool = True) -> Any:
    """Multiplies by minus the rate; None passes the updates."""
    if learning_rate is None:
        return _basic.identity()
    return _basic.scale_by_learning_rate(learning_rate, flip_sign=flip_sign)


def key_or_seed(where: str, key: Any, seed: Any) -> Any:
    """The one of the two that is given; optax takes either."""
    if (key is None) == (seed is None):
        errors.fail(where, "one of key and seed must be given", f"key={key}, seed={seed}")
    return seed if key is None else key


def add_noise(eta: Any, gamma: Any, key: Any = None, *, seed: int | None = None) -> Any:
    """Adds Gaussian noise whose variance falls with the steps."""
    return _noise.add_noise(eta, gamma, key_or_seed("optax.add_noise", key, seed))


def noisy_sgd(
    learning_rate: Any,
    eta: Any = 0.01,
    gamma: Any = 0.55,
    key: Any = None,
    *,
    seed: int | None = None,
) -> Any:
    """Descent along the gradient and noise."""
    return _noisy.noisy_sgd(learning_rate, eta, gamma, key_or_seed("optax.noisy_sgd", key, seed))


def nadam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> Any:
    """Adam one step of momentum ahead."""
    return _adam.adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


def nadamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = True,
) -> Any:
    """AdamW one step of momentum ahead."""
    numbers = (learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask)
    return _adam.adamw(*numbers, nesterov=nesterov)


def optimistic_adam(
    learning_rate: Any,
    optimism: Any = None,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> Any:
    """Optimistic Adam, with Nesterov's momentum."""
    numbers = (learning_rate, optimism, b1, b2, eps, eps_root, mu_dtype)
    return _optimistic.optimistic_adam(*numbers, nesterov=nesterov)


def optimistic_adam_v2(learning_rate: Any, *, nesterov: bool = True, **numbers: Any) -> Any:
    """Optimistic Adam with a generalised optimism, with Nesterov's momentum."""
    return _optimistic.optimistic_adam_v2(learning_rate, nesterov=nesterov, **numbers)


def scale_by_adan(
    b1: Any = 0.98, b2: Any = 0.92, b3: Any = 0.99, eps: Any = 1e-8, eps_root: Any = 0.0
) -> Any:
    """Adan's rule without ε under the root."""
    return _adan.scale_by_adan(b1, b2, b3, eps, eps_root)


def scale_by_lion(
    b1: Any = 0.9,
    b2: Any = 0.99,
    mu_dtype: Any = None,
    *,
    mode: str = "hard",
    smooth_beta: float = 1.0,
) -> Any:
    """Lion's rule.

    Raises:
        ValueError: A mode other than "hard", which is the paper's.
    """
    if mode != "hard":
        errors.fail("optax.scale_by_lion", "mode must be 'hard', the paper's sign", mode)
    return _lion.scale_by_lion(b1, b2, mu_dtype)


def scale_by_novograd(
    b1: Any = 0.9,
    b2: Any = 0.25,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
    mu_dtype: Any = None,
) -> Any:
    """NovoGrad's rule with a smaller ε than the optimizer's."""
    return _novograd.scale_by_novograd(b1, b2, eps, eps_root, weight_decay, mu_dtype)


def join_schedules(schedules: Sequence[Any], boundaries: Sequence[Any]) -> Any:
    """One schedule after another; of boundaries and schedules, those that are too many are left."""
    count = min(len(schedules) - 1, len(boundaries))
    return _join.join_schedules(list(schedules)[: count + 1], list(boundaries)[:count])


def adafactor(
    learning_rate: Any = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Any = 0.8,
    decay_offset: Any = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Any = 1.0,
    momentum: Any = None,
    dtype_momentum: Any = None,
    weight_decay_rate: Any = None,
    eps: Any = 1e-30,
    factored: bool = True,
    weight_decay_mask: Any = None,
) -> Any:
    """Adafactor: momentum of steps before their sign is turned, decay without the rate."""
    numbers = (learning_rate, min_dim_size_to_factor, decay_rate, decay_offset)
    more = (multiply_by_parameter_scale, clipping_threshold, None, None, None, eps, factored)
    steps = _adafactor.adafactor(*numbers, *more)
    after = []
    if momentum is not None:
        after.append(_momentum.ema(momentum, debias=False, mu_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        after.append(_decay.add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return _chain(steps, _basic.scale(-1.0), *after, _basic.scale(-1.0)) if after else steps
