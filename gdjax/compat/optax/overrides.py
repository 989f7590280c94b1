"""Functions whose signature, defaults or convention in optax differ from those in gdjax."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.compat.optax.lookahead import TwoTrees, both
from gdjax.compat.optax.twins import invoke, named, twin
from gdjax.core.data.hyperparams import is_known
from gdjax.core.engine.chain import chain as _chain
from gdjax.core.engine.rule import EmptyState
from gdjax.core.engine.transformation import NOW, call_update
from gdjax.core.rule import errors, tree
from gdjax.core.rule.numerics import ema, increment, zero_count
from gdjax.optimizers.adam import adan as _adan
from gdjax.optimizers.adaptive import adagrad as _adagrad
from gdjax.optimizers.adaptive import rmsprop as _rmsprop
from gdjax.optimizers.layerwise import novograd as _novograd
from gdjax.optimizers.sign import lion as _lion
from gdjax.schedules import join as _join
from gdjax.transforms import basic as _basic
from gdjax.transforms import noise as _noise

__all__ = [
    "add_noise",
    "chain",
    "join_schedules",
    "named_chain",
    "scale_by_adan",
    "scale_by_lion",
    "scale_by_novograd",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "stateless",
    "stateless_with_tree_map",
]


def chain(*args: Any) -> Any:
    """Chain of transformations, applied in order; a plain pair if `lookahead` is one of them."""
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
    """Chain of named transformations, applied in order; the state is a dict."""
    return _chain(**dict(args))


def stateless(f: Callable[[Any, Any], Any]) -> Any:
    """Stateless transformation from a function of updates and parameters (or None)."""
    return _basic.stateless(f)


@named("optax")
def stateless_with_tree_map(f: Callable[[Any, Any], Any]):
    """Stateless transformation from a function of one array and its parameter (or None).

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


@twin(_adagrad.scale_by_rss)
def scale_by_rss(initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> Any:
    """AdaGrad scaling, with ε under the root."""
    return _adagrad.scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt=True)


@twin(_rmsprop.scale_by_rms)
def scale_by_rms(
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Any:
    """RMSProp scaling, with ε under the root."""
    return invoke(_rmsprop.scale_by_rms, locals())


@twin(_rmsprop.scale_by_stddev)
def scale_by_stddev(
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Any:
    """Centered RMSProp scaling, with ε under the root."""
    return invoke(_rmsprop.scale_by_stddev, locals())


def key_or_seed(where: str, key: Any, seed: Any) -> Any:
    """The given one of `key` and `seed`."""
    if key is None and seed is None:
        if NOW.trying:  # once for each call of the user's
            warnings.warn(f"{where}: without a key, the noise is that of seed 0.", stacklevel=4)
        return 0
    if key is not None and seed is not None:
        errors.fail(where, "one of key and seed must be given", f"key={key}, seed={seed}")
    return seed if key is None else key


@twin(_noise.add_noise)
def add_noise(eta: Any, gamma: Any, key: Any = None, *, seed: int | None = None) -> Any:
    """Gradient noise: adds Gaussian noise whose variance decays with the steps."""
    key = key_or_seed("optax.add_noise", key, seed)
    return invoke(_noise.add_noise, {"eta": eta, "gamma": gamma, "key": key})


@twin(_adan.scale_by_adan)
def scale_by_adan(
    b1: Any = 0.98, b2: Any = 0.92, b3: Any = 0.99, eps: Any = 1e-8, eps_root: Any = 0.0
) -> Any:
    """Adan scaling without ε under the root."""
    return _adan.scale_by_adan(b1, b2, b3, eps, eps_root)


def _clipped(c: jax.Array) -> jax.Array:
    return c.clip(-1, 1)


@twin(_lion.scale_by_lion, stage=True)
def scale_by_lion(
    b1: Any = 0.9,
    b2: Any = 0.99,
    mu_dtype: Any = None,
    *,
    mode: str = "hard",
    smooth_beta: float = 1.0,
) -> Any:
    """Lion scaling, with the sign function or a smooth one.

    Raises:
        ValueError: Unknown mode.
    """
    modes = {"hard": jnp.sign, "smooth": lambda c: jnp.tanh(smooth_beta * c), "refined": _clipped}
    if mode not in modes:
        must = "mode must be 'hard', 'smooth' or 'refined'"
        errors.fail("optax.scale_by_lion", must, mode)
    if mode == "hard" and is_known(b2) and np.all(np.asarray(b2) > 0):  # gdjax's divides by b2
        return invoke(_lion.scale_by_lion, {"b1": b1, "b2": b2, "mu_dtype": mu_dtype})
    bent = modes[mode]

    def leaf(g, m):
        return bent(ema(m, g, b1)), ema(m, g, b2)

    def init(params):
        return _lion.ScaleByLionState(zero_count(), tree.moment_like(params, mu_dtype))

    def update(updates, state, params=None, **extra):
        updates, mu = tree.evolve(leaf, (updates, state.mu))
        return updates, _lion.ScaleByLionState(increment(state.count), mu)

    return init, update


@twin(_novograd.scale_by_novograd)
def scale_by_novograd(
    b1: Any = 0.9,
    b2: Any = 0.25,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
    mu_dtype: Any = None,
) -> Any:
    """NovoGrad scaling, with a smaller default ε than `novograd`."""
    return _novograd.scale_by_novograd(b1, b2, eps, eps_root, weight_decay, mu_dtype)


def join_schedules(schedules: Sequence[Any], boundaries: Sequence[Any]) -> Any:
    """Joins schedules at boundaries; surplus boundaries or schedules are ignored."""
    count = min(len(schedules) - 1, len(boundaries))
    return _join.join_schedules(list(schedules)[: count + 1], list(boundaries)[:count])
