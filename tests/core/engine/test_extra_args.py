"""Extra arguments: declared, missing, misspelt."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from tests.core.factories import (
    GRADS,
    PARAMS,
    bare,
    by_any_function,
    by_value,
    close,
    falling,
    words,
)

optax = pytest.importorskip("optax")  # only for the foreign stages; the contract runs without it


class TestExtra:
    def state(self, tx):
        return tx.init(PARAMS)

    def test_missing_raises_with_its_stage(self):
        tx = by_value()
        with pytest.raises(TypeError, match="by_value: update needs the extra argument 'value'"):
            tx.update(GRADS, self.state(tx), PARAMS)
        for tx, stage in (
            (gd.chain(gd.sgd(0.1), by_value()), "1"),
            (gd.chain(a=gd.sgd(0.1), loss=by_value()), "loss"),
            (gd.chain(a=gd.sgd(0.1), loss=optax.scale_by_polyak()), "loss"),
            (gd.chain(a=gd.sgd(0.1), outer=gd.chain(loss=by_value())), "loss"),
        ):
            with pytest.raises(TypeError, match="update needs the extra argument 'value'") as error:
                tx.update(GRADS, self.state(tx), PARAMS)
            assert f"in stage {stage} of chain" in words(error)
            with pytest.raises(TypeError, match="update needs the extra argument 'value'"):
                tx.step(GRADS, self.state(tx), PARAMS)

    def test_misspelt_raises(self):
        for tx in (by_value(), gd.chain(gd.sgd(0.1), by_value())):
            with pytest.raises(TypeError, match="vlaue. Did you mean value?"):
                tx.update(GRADS, self.state(tx), PARAMS, vlaue=1.0)
            with pytest.raises(TypeError, match="curvatur. Did you mean curvature?"):
                tx.update(GRADS, self.state(tx), PARAMS, value=1.0, curvatur=1.0)

    def test_unknown_passes(self):
        tx = gd.chain(gd.sgd(0.1), by_value())
        u, _ = tx.update(GRADS, self.state(tx), PARAMS, value=2.0, grad=GRADS, epoch=3)
        close(u, jax.tree.map(lambda g: -0.2 * g, GRADS))
        plain = gd.sgd(0.1)  # names none, so nothing can be misspelt
        plain.update(GRADS, self.state(plain), PARAMS, value=1.0, valeu=2.0)

    def test_two_similar_names_are_no_misspelling(self):
        tx = by_value()
        u, _ = tx.update(GRADS, self.state(tx), PARAMS, value=1.0, values=2.0)
        close(u, GRADS)

    def test_chain_knows_the_union(self):
        table = [
            (gd.sgd(0.1), {}),
            (by_value(), {"value": True, "curvature": False}),
            (bare(0.1), {}),
            (gd.chain(gd.sgd(0.1), by_any_function(0.1)), {"value_fn": True}),
            (gd.chain(optax.scale_by_polyak()), {"value": True}),
            (gd.chain(optax.adam(0.1)), {}),
            (
                gd.chain(a=gd.chain(by_value()), b=by_any_function(0.1)),
                {"value": True, "curvature": False, "value_fn": True},
            ),
            (by_value(falling), {"value": True, "curvature": False}),
        ]
        for tx, names in table:
            assert tx.extra_args == names, tx

    def test_numbers_and_functions(self):
        tx = by_value(jnp.array(1.0))
        u, _ = tx.update(GRADS, self.state(tx), PARAMS, value=3.0, curvature=jnp.array(2.0))
        close(u, GRADS)
        tx = gd.chain(by_any_function(0.5))
        fun = lambda p: jnp.sum(p["w"] ** 2)  # no argument for jit: runs as it is
        u, _ = tx.update(GRADS, self.state(tx), PARAMS, value_fn=fun)
        close(u, jax.tree.map(lambda g: -2.5 * g, GRADS))
        p, _ = tx.step(GRADS, self.state(tx), PARAMS, value_fn=fun)
        close(p, jax.tree.map(lambda p, g: p - 2.5 * g, PARAMS, GRADS))
