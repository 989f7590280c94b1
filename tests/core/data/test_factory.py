"""Factories: kinds that are declared, signatures that read well, wrong arguments answered."""

import collections
import inspect
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.data.recipe import factories
from gdjax.core.rule import tree
from gdjax.lab import catalogue
from tests.core.factories import GRADS, PARAMS, by_value, close

OURS = {name: made for name, made in factories().items() if made.module.startswith("gdjax.")}
INNER = {"inner", "base", "base_optimizer", "optimizer", "direction", "transformations"}
TRANSFORMATIONS = {n: made for n, made in OURS.items() if made.make is gd.GradientTransformation}


class TestKinds:
    def test_are_those_of_the_catalogue(self):
        kinds = {entry.name: entry.kind for entry in catalogue.entries()}
        assert kinds == {name: made.kind for name, made in OURS.items()}
        assert set(kinds.values()) == set(catalogue.KINDS)

    def test_default_is_a_transformation(self):
        @gd.transformation
        def mine(rate: gd.Hyperparam):
            return gd.scale(rate)

        assert mine.factory.kind == "transformation"

    @pytest.mark.parametrize(
        "names, kind",
        [
            ("adamw muon sgd lbfgs dog polyak_sgd schedule_free_adamw", "optimizer"),
            ("proximal_decay qk_clip scale_by_adam apply_every freeze", "transformation"),
            ("normalize_adaptively chain clip hyperball trace", "transformation"),
            ("zero placed scale_by_galore masked accumulate sam groups", "wrapper"),
            ("warmup live", "schedule"),
            ("by_path times", "rule"),
        ],
    )
    def test_of_some(self, names, kind):
        assert {name: OURS[name].kind for name in names.split()} == dict.fromkeys(
            names.split(), kind
        )

    @pytest.mark.parametrize("name", sorted(set(TRANSFORMATIONS) - {"chain"}))
    def test_fits_name_and_arguments(self, name):
        made = TRANSFORMATIONS[name]
        parameters = list(made.signature.parameters.values())
        inside = [p for p in parameters if p.name in INNER]
        if made.kind == "wrapper":
            assert inside, "a wrapper takes transformations"
        elif any(p.default is p.empty for p in inside):
            raise AssertionError("what takes transformations is a wrapper")
        elif name.startswith("scale_by_"):
            assert made.kind == "transformation", "without a rate it is a part of an optimizer"
        elif f"scale_by_{name}" in TRANSFORMATIONS:
            assert made.kind == "optimizer", f"it is scale_by_{name} and the rest"
        elif made.module.startswith("gdjax.optimizers.") and "learning_rate" in made.ranges:
            assert made.kind == "optimizer", "it has its learning rate"

    def test_wrong_one_raises(self):
        with pytest.raises(ValueError, match="mine: kind must be one of 'optimizer', .* got 'opt'"):

            @gd.transformation(kind="opt")
            def mine():
                return gd.identity()

        with pytest.raises(ValueError, match=r"Write @transformation\(kind='optimizer'\)"):
            gd.transformation("optimizer")


class TestSignatures:
    def test_help_shows_annotations_without_quotes(self):
        text = str(inspect.signature(gd.adamw))
        assert text.startswith("(learning_rate: LearningRate, b1: Decay = 0.9") and "'" not in text

    def test_annotations_are_still_looked_up(self):
        assert gd.adamw.factory.ranges["b1"].high == 1.0

    def test_prints_as_a_call(self):
        assert (
            str(gd.clip_by_global_norm.factory)
            == "clip_by_global_norm(max_norm, *, axis_name=None)"
        )
        assert str(gd.chain.factory) == "chain(*transformations, **named)"

    WRONG = [
        (
            lambda: gd.adam(),
            r"missing .*: .learning_rate.. Write adam\(learning_rate, b1=0.9, ",
        ),
        (
            lambda: gd.adam(lr=0.1),
            r"adam: got an unexpected keyword argument 'lr'. Did you mean learning_rate\?$",
        ),
        (
            lambda: gd.adam(0.1, beta1=0.9),
            r"unexpected keyword argument 'beta1'. Did you mean b1\?$",
        ),
        (lambda: gd.sgd(0.1, beta1=0.9), r"unexpected keyword argument 'beta1'. Known: .*momentum"),
        (lambda: gd.adam(0.1, nestrov=True), r"Did you mean nesterov\?"),
    ]

    @pytest.mark.parametrize("make, message", WRONG, ids=[m[-40:] for _, m in WRONG])
    def test_wrong_arguments_are_answered(self, make, message):
        with pytest.raises(TypeError, match=message):
            make()


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
        built = gd.build(gd.spec(old))
        assert built == new and built != old
        for tx, sign in ((old, 1.0), (new, -1.0), (built, -1.0)):  # nothing compiled is mixed up
            assert float(tx.update(jnp.array(1.0), tx.init(1.0))[0]) == sign * 0.5

    def test_signature_and_docstring_are_kept(self):
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


KEPT_AS = {
    "mapping proxy": lambda: gd.piecewise_constant_schedule(1.0, types.MappingProxyType({5: 0.1})),
    "a mapping of another library": lambda: gd.piecewise_constant_schedule(
        1.0, collections.UserDict({5: 0.1})
    ),
    "an array of boundaries": lambda: gd.join_schedules([1.0, 0.5], np.array([5])),
    "an integer of NumPy": lambda: gd.accumulate(gd.sgd(0.1), every=np.int64(2)),
    "another": lambda: gd.lbfgs(memory_size=np.int32(5)),
    "a polynomial": lambda: gd.scale_by_muon(backend=np.array([3.4, -4.7, 2.0])),
    "a row": lambda: gd.groups(gd.sgd(0.1), ("w", types.MappingProxyType({"learning_rate": 0.5}))),
    "axes": lambda: gd.muon(0.1, matrix_axes=gd.matrix_axes(types.MappingProxyType({"w": None}))),
}
PLAIN = {
    "mapping proxy": lambda: gd.piecewise_constant_schedule(1.0, {5: 0.1}),
    "a mapping of another library": lambda: gd.piecewise_constant_schedule(1.0, {5: 0.1}),
    "an array of boundaries": lambda: gd.join_schedules([1.0, 0.5], [5]),
    "an integer of NumPy": lambda: gd.accumulate(gd.sgd(0.1), every=2),
    "another": lambda: gd.lbfgs(memory_size=5),
}


@pytest.mark.parametrize("name", KEPT_AS)
def test_containers_are_known_by_what_they_do(name):
    made = KEPT_AS[name]()
    if name in PLAIN:
        assert made == PLAIN[name]() and repr(made) == repr(PLAIN[name]())
        assert gd.build(gd.spec(made)) == made
    if isinstance(made, gd.GradientTransformation):
        jax.eval_shape(made.init, {"w": jnp.ones((2, 3)), "b": jnp.ones(3)})
