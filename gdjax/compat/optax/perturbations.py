"""The namespace `optax.perturbations`: functions smoothed by noise, and differentiable so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gdjax.compat.optax.tree import split_key_like
from gdjax.core.rule import numerics

__all__ = ["Gumbel", "Normal", "make_perturbed_fun"]


class Gumbel:
    """The Gumbel distribution, of density exp(−z − e⁻ᶻ)."""

    def sample(
        self, key: jax.Array, sample_shape: Sequence[int] = (), dtype: Any = float
    ) -> jax.Array:
        """Draws numbers."""
        return jax.random.gumbel(key, tuple(sample_shape), dtype)

    def log_prob(self, inputs: jax.Array) -> jax.Array:
        """The logarithm of the density."""
        return -inputs - jnp.exp(-inputs)


class Normal:
    """The standard normal distribution, of density in proportion to exp(−½z²)."""

    def sample(
        self, key: jax.Array, sample_shape: Sequence[int] = (), dtype: Any = float
    ) -> jax.Array:
        """Draws numbers."""
        return jax.random.normal(key, tuple(sample_shape), dtype)

    def log_prob(self, inputs: jax.Array) -> jax.Array:
        """The logarithm of the density, up to a constant."""
        return -0.5 * inputs * inputs


def make_perturbed_fun(
    fun: Callable[[Any], Any],
    num_samples: int = 1000,
    sigma: Any = 0.1,
    noise: Any = Gumbel(),  # noqa: B008 - as optax has it; it has no state
    use_baseline: bool = True,
) -> Callable[[jax.Array, Any], Any]:
    """Smooths a function by noise: its values and all derivatives are estimated without bias.

        f_σ(x) = E f(x + σz),   ∇f_σ(x) = E (f(x + σz) − f(x))·∇ₓ log p((y − x) / σ),   y = x + σz

    Only values of f are used, so it may be piecewise constant: a maximum, a ranking, a path.

    >>> import jax, jax.numpy as jnp
    >>> smooth = make_perturbed_fun(lambda x: jnp.sum(x > 0.0), 1000, 1.0, Normal())
    >>> f"{jax.grad(smooth, argnums=1)(jax.random.key(0), jnp.zeros(1))[0]:.1f}"  # 1 / √(2π)
    '0.4'

    Args:
        fun: A function from trees of arrays to trees of arrays.
        num_samples: The number of points at which it is evaluated.
        sigma: σ > 0, in the units of x.
        noise: The distribution of z, with `sample(key, shape, dtype)` and `log_prob(z)`.
        use_baseline: Whether f(x) is subtracted, which takes most of the noise out of derivatives.

    Returns:
        A function `(key, x)`.

    Reference: Berthet et al., Learning with differentiable perturbed optimizers, 2020,
        https://arxiv.org/abs/2002.08676
    """

    def perturbed(key: jax.Array, x: Any) -> Any:
        scale = numerics.weak(sigma)

        def draw(key, leaf):
            leaf = jnp.asarray(leaf)
            return leaf + scale * noise.sample(key, leaf.shape, leaf.dtype)

        def log_density(point):  # of the point that was drawn, as a function of x
            parts = jax.tree.map(
                lambda y, leaf: jnp.sum(numerics.wide(noise.log_prob((y - leaf) / scale))), point, x
            )
            return sum(jax.tree.leaves(parts))

        def one(key):
            point = jax.lax.stop_gradient(jax.tree.map(draw, split_key_like(key, x), x))
            log = log_density(point)
            # 1, whose derivatives are those of the density relative to it, of any order.
            return fun(point), jnp.exp(log - jax.lax.stop_gradient(log))

        values, weights = jax.vmap(one)(jax.random.split(key, num_samples))
        base = (
            jax.lax.stop_gradient(fun(x)) if use_baseline else jax.tree.map(lambda _: 0.0, values)
        )

        def mean(value, base):
            value = (
                value.astype(jnp.result_type(value, float)) if value.dtype.kind in "bi" else value
            )
            wide = jax.lax.stop_gradient(numerics.wide(value))
            base = jnp.broadcast_to(jnp.asarray(base).astype(wide.dtype), wide.shape[1:])
            weight = weights.astype(wide.dtype).reshape(num_samples, *[1] * (wide.ndim - 1))
            return jnp.mean((wide - base[None]) * weight + base[None], axis=0).astype(value.dtype)

        return jax.tree.map(mean, values, base)

    return perturbed
