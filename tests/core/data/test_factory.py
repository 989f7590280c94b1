"""Factories: names, signatures, and numbers that are judged when given."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import tree
from tests.core.factories import GRADS, PARAMS, by_value, close


class TestFactory:
    def test_defined_twice_is_the_later(self):
        def cell(factor):
            @gd.transformation
            def notebook_cell(rate: gd.Hyperparam):
                def update(updates, state, params=None, **extra):
                    return tree.map(lambda g: factor * rate * g, updates), state

                return lambda params: gd.EmptyState(), update

            return notebook_cell

        old, new = cell(1.0)(0.5), cell(-1.0)(0.5)
        built = gd.build({"notebook_cell": {"rate": 0.5}})
        assert built == new and built != old
        for tx, sign in ((old, 1.0), (new, -1.0), (built, -1.0)):  # nothing compiled is mixed up
            assert float(tx.update(jnp.array(1.0), tx.init(1.0))[0]) == sign * 0.5

    def test_two_of_one_name_raise(self):
        def adam(rate: gd.Hyperparam):
            raise AssertionError("it is not called")

        with pytest.raises(
            ValueError, match="adam: .*gdjax.optimizers.adam.adam.adam has it, got .*"
        ):
            gd.transformation(adam)
        assert gd.build({"adam": [0.1]}) == gd.adam(0.1)

    def test_signature_and_docstring_are_kept(self):
        import inspect

        assert list(inspect.signature(by_value).parameters) == ["target"]
        assert by_value.__doc__.startswith("Needs the loss") and by_value.__name__ == "by_value"

    NUMBERS = [
        (lambda: gd.adam(0.1, b1=1.5), ValueError, r"adam: b1 must lie in \[0, 1\), got 1.5"),
        (lambda: gd.adam(0.1, b1=1.0), ValueError, r"\[0, 1\)"),
        (lambda: gd.adam(-1), ValueError, r"adam: learning_rate must lie in \[0, inf\], got -1"),
        (lambda: gd.adam(float("nan")), ValueError, "learning_rate must lie in .*, got nan"),
        (lambda: gd.adam(np.float32("nan")), ValueError, "learning_rate must lie in"),
        (lambda: gd.adam(jnp.array([0.1, -0.1])), ValueError, "learning_rate must lie in"),
        (lambda: gd.scale(float("nan")), ValueError, "step_size must lie in"),
        (lambda: gd.scale(complex("nan")), ValueError, "step_size must lie in"),
        (lambda: gd.adam("x"), TypeError, "learning_rate must be a number, .* got 'x'"),
        (lambda: gd.adam(True), TypeError, "learning_rate must be a number, .* got True"),
        (lambda: gd.adam(jnp.array(True)), TypeError, "learning_rate must be a number"),
        (lambda: gd.adam([0.1, 0.2]), TypeError, "learning_rate must be a number"),
        (lambda: gd.adam({"w": 0.1}), TypeError, "learning_rate must be a number"),
        (lambda: gd.adam(gd.live(-1.0)), ValueError, "learning_rate must lie in"),
        (lambda: gd.adam(gd.sgd(0.1)), TypeError, "learning_rate must be a number"),
        (lambda: gd.adam(), TypeError, "adam: missing a required argument: 'learning_rate'"),
        (lambda: gd.adam(0.1, rate=1), TypeError, "adam: .*unexpected keyword argument 'rate'"),
        (lambda: gd.adam(0.1, b3=1), TypeError, "'b3'. Known: b1, b2, eps"),
        (lambda: gd.adam(*range(9)), TypeError, "adam: too many positional"),
    ]

    @pytest.mark.parametrize(
        "make, kind, message", NUMBERS, ids=[row[2][:40] + str(i) for i, row in enumerate(NUMBERS)]
    )
    def test_bad_numbers_raise_when_given(self, make, kind, message):
        with pytest.raises(kind, match=message):
            make()

    def test_none_is_no_number(self):
        with pytest.raises(TypeError, match="adam: learning_rate must be a number, .* got None"):
            gd.adam(None).init(PARAMS)
        with pytest.raises(TypeError, match="adam: b1 must be a number, .* got None"):
            gd.adam(0.1, b1=None).init(PARAMS)

    def test_good_numbers_pass(self):
        for tx in (
            gd.adam(0),
            gd.sgd(0.1, None),
            gd.sgd(0.1, 0),
            gd.scale(-1),
            gd.scale(float("inf")),
        ):
            tx.update(GRADS, tx.init(PARAMS))

    def test_traced_numbers_are_not_judged(self):
        u = jax.jit(lambda rate: gd.sgd(rate).update(GRADS, gd.sgd(rate).init(PARAMS))[0])(-1.0)
        close(u, GRADS)
