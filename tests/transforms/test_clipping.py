"""Clipping by value and by global norm."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import gdjax as gd
from tests.cases import Row
from tests.helpers import mesh_of
from tests.optimizers.sgd.test_sgd import sgd
from tests.references import Agree, recorded, rule

ROWS = [
    Row(gd.clip(0.5)),
    Row(gd.clip_by_global_norm(0.5)),
]


def clip_value_sgd(gradient, theta0, steps, *, eta, bound):
    """Steepest descent, every coordinate of g cut to [−bound, bound]."""
    return sgd(lambda theta, t: np.clip(gradient(theta, t), -bound, bound), theta0, steps, eta=eta)


def clip_norm_sgd(gradient, theta0, steps, *, eta, bound, norm_eps=0.0):
    """Steepest descent, g ← g · min(1, bound / ‖g‖) (Pascanu et al. 2013).

    The norm is that of all coordinates together. torch documents bound / (‖g‖ + 1e-6): that is
    `norm_eps`.
    """

    def clipped(theta, t):
        g = gradient(theta, t)
        return g * min(1.0, bound / (np.sqrt(np.sum(g**2)) + norm_eps))

    return sgd(clipped, theta0, steps, eta=eta)


AGREE = {
    "torch-clip_value_sgd": Agree(
        gd.chain(gd.clip(0.2), gd.sgd(0.3)), recorded("seminar", "clip_value_sgd")
    ),
    "numpy-clip": Agree(
        gd.chain(gd.clip(0.2), gd.sgd(0.3)), rule(clip_value_sgd, eta=0.3, bound=0.2)
    ),
    "numpy-clip-norm": Agree(
        gd.chain(gd.clip_by_global_norm(0.5), gd.sgd(0.3)), rule(clip_norm_sgd, eta=0.3, bound=0.5)
    ),
}


def test_the_norm_of_a_clip_is_over_all_shards():
    mesh = mesh_of("Auto", (8,), ("model",))
    spec = jax.sharding.PartitionSpec("model")
    grads = {"a": jnp.arange(16.0), "b": jnp.ones((8, 3))}
    shard_map = getattr(jax, "shard_map", None)
    if shard_map is None:
        from jax.experimental.shard_map import shard_map

    def clipped(tx):
        def one(grads):
            updates, state = tx.update(grads, tx.init(grads))
            return updates, jnp.stack([state.norm])

        return jax.jit(shard_map(one, mesh=mesh, in_specs=spec, out_specs=spec))(grads)

    whole = gd.clip_by_global_norm(2.0)
    expected, state = whole.update(grads, whole.init(grads))
    updates, norms = clipped(gd.clip_by_global_norm(2.0, axis_name="model"))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), updates, expected)
    np.testing.assert_allclose(norms, jnp.full(8, state.norm), rtol=1e-6)
    alone, _ = clipped(gd.clip_by_global_norm(2.0))
    assert abs(float(gd.global_norm(alone)) - 2.0) > 0.1
    told = gd.state.metrics(state)
    np.testing.assert_allclose(told["clip_factor"] * told["grad_norm"], 2.0, rtol=1e-6)


def test_norm_inside_of_shard_map():
    mesh = mesh_of("Auto", (8,), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    x = jnp.arange(16.0)
    clip = gd.clip_by_global_norm(1.0, axis_name="d")
    local = lambda g: clip.update(g, clip.init(g))[0]
    out = jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(x)
    np.testing.assert_allclose(out, x / jnp.linalg.norm(x), rtol=1e-6)


def test_clip_by_zero_norm_is_zero():
    tx = gd.clip_by_global_norm(0.0)
    updates, _ = tx.update(jnp.asarray([3.0, 4.0]), tx.init(jnp.zeros(2)))
    assert jnp.all(updates == 0)


def test_complex_numbers_are_clipped_by_their_length():
    z = jnp.asarray([0.3 + 0.4j, 0.0j, 3.0 - 4.0j])
    clipped = gd.clip(1.0).update(z, gd.EmptyState())[0]
    np.testing.assert_allclose(clipped, [0.3 + 0.4j, 0.0j, 0.6 - 0.8j], rtol=1e-6)
