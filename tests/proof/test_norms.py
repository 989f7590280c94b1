"""The programs of rules with norms, of small transforms and of wrappers are their formulas."""

import operator

import jax
import jax.numpy as jnp
import pytest

import gdjax as gd
from gdjax import contract
from gdjax.core.rule import numerics
from gdjax.proof.lengths import axes_of
from gdjax.proof.stated import formula_of
from tests import cases
from tests.mutation.checks import in_place
from tests.mutation.sites import mutants

# A leaf of two entries shows a norm; two leaves show that it is of all of them.
LEAF, COLUMN, FOUR, TREE = (2,), (2, 1), (4,), [(2,), ()]
# For each row: the shape, and the number of steps. A rule without state has one step.
IDENTICAL = {
    **dict.fromkeys(("adaptive_grad_clip", "hyperball", "radial_brake", "update_floor"), (LEAF, 1)),
    **dict.fromkeys(("scale_by_param_block_norm", "scale_by_param_block_rms"), (LEAF, 1)),
    **dict.fromkeys(("fromage", "scale_by_trust_ratio", "scale_by_lars", "lamb-decay"), (LEAF, 1)),
    **dict.fromkeys(("clip_by_global_norm", "normalize", "normalize_by_update_norm"), (TREE, 1)),
    **dict.fromkeys(("scale_by_polyak", "polyak_sgd", "normalize_adaptively"), (TREE, 1)),
    **dict.fromkeys(("identity", "set_to_zero", "scale", "scale_by_learning_rate"), ((), 1)),
    **dict.fromkeys(("add_cautious_weight_decay", "clip", "keep_params_nonnegative"), ((), 1)),
    **dict.fromkeys(("add_decayed_weights", "decay_weights"), ((), 1)),
    **dict.fromkeys(("adaptive_grad_clip-entries",), ((), 1)),
    **dict.fromkeys(("centralize", "normalize_matrices"), (COLUMN, 1)),
    **dict.fromkeys(("lars", "lars-nesterov", "novograd", "scale_by_novograd"), (LEAF, 2)),
    **dict.fromkeys(
        ("dog", "dog-learning_rate", "dowg", "scale_by_dog", "scale_by_dowg"), (LEAF, 2)
    ),
    **dict.fromkeys(("scale_by_distance_over_gradients", "zclip"), (LEAF, 2)),
    **dict.fromkeys(("trace", "trace-nesterov", "ema", "ema-biased"), ((), 2)),
    **dict.fromkeys(("cautious", "mars", "momo", "prodigy"), (LEAF, 1)),
    **dict.fromkeys(("apply_every", "lookahead", "lookahead-reset"), ((), 3)),
    "ema_nesterov": ((), 2),
    **dict.fromkeys(("adam_mini", "scale_by_adam_mini"), (LEAF, 2)),
    **dict.fromkeys(("stable_adamw", "scale_by_stable_adam-decay"), (LEAF, 1)),
    "clip_by_block_rms": (FOUR, 1),  # √4 is a number
    "scale_to_rms": ((2, 2), 1),
}
# What would take minutes is compared to 40 digits, over three steps on two leaves.
TO_40_DIGITS = ["dadapt_adamw", "dog-decay", "dowg-decay", "momo-bound", "momo_adam", "prodigy"]
TO_40_DIGITS += ["cautious", "mars", "momo", "momo_adam-bound", "prodigy-safeguard"]
SLOW = (
    "prodigy-safeguard",
    "dog-decay",
    "dowg-decay",
    "cautious",
    "mars",
    "momo",
    "momo_adam-bound",
)
# Rules whose rows do not show it, beside a formula where the docstring cannot have it.
OTHERS = {
    "graft": (gd.graft(gd.trace(0.9), gd.scale_by_adam()), None, LEAF, 1),
    "scale_by_schedule": (gd.scale_by_schedule(0.5), None, (), 2),
    "stateless": (gd.stateless(operator.add), "u = g + θ", (), 1),
    "stateless_with_tree_map": (gd.stateless_with_tree_map(operator.mul), "u = g·θ", (), 1),
    "mechanize": (
        gd.mechanize(gd.scale(-0.1), num_betas=1),
        formula_of(gd.mechanize(gd.scale(-0.1)).factory) + "\nβ = 0.9",
        LEAF,
        1,
    ),
    "flatten": (gd.flatten(gd.scale_by_adam()), "u = inner(g)", [(), ()], 2),
    "split_real_and_imaginary": (
        gd.split_real_and_imaginary(gd.scale_by_adam()),
        "u = inner(g)",
        (),
        2,
    ),
    "zero_nans": (gd.zero_nans(), "u = g", (), 1),  # of numbers; no symbol is a NaN
    "snapshot": (gd.snapshot("n", gd.global_norm), "u = g", LEAF, 2),
    "measure_with_ema": (gd.measure_with_ema(gd.global_norm, 0.9), "u = g", LEAF, 2),
    "monitor": (gd.monitor({"n": gd.global_norm}), "u = g", LEAF, 2),
    "measure_update_ratio": (gd.measure_update_ratio(), "u = g", LEAF, 2),
}
NOT_PROVEN = {
    "auto": "a composition with matrices; its parts are proven, or their identities",
    "add_noise": "random numbers are no function of symbols",
    "differentially_private_aggregate": "random numbers, and gradients with an axis of examples",
    "hutchinson_estimator_diag_hessian": "random signs, and the derivative of a function",
    "orthogonalize": "a formula of matrices; its identities are in test_orthogonalized",
    "reduce_on_plateau": "`cooldown` is cut to an integer, and a formula has no floor",
    "sam": "the transformations inside take steps in turn, and in a formula each takes every step",
}
FOLDERS = (
    "transforms",
    "optimizers.adam.adam_mini",
    "optimizers.adam.stable_adamw",
    "optimizers.layerwise",
    "optimizers.parameter_free",
    "wrappers.averaging.ema_nesterov",
    "wrappers.averaging.lookahead",
)
FOLDERS += tuple(
    f"wrappers.{x}" for x in ("cautious", "flatten", "graft", "mars", "mechanize", "sam")
)


def rows():
    return {str(row): row.tx for row in cases.rows()}


@pytest.mark.parametrize("name", IDENTICAL)
def test_the_program_is_the_formula(name):
    shape, steps = IDENTICAL[name]
    proof = contract.prove(rows()[name], shape=shape, steps=steps)
    assert proof and not proof.digits, proof.verdict


@pytest.mark.parametrize("name", OTHERS)
def test_the_program_is_the_formula_for_other_arguments(name):
    tx, formula, shape, steps = OTHERS[name]
    proof = contract.prove(tx, formula, shape=shape, steps=steps)
    assert proof, proof.verdict


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in TO_40_DIGITS],
)
def test_program_and_formula_agree_to_40_digits(name):
    proof = contract.prove(rows()[name], shape=TREE, steps=3, points={})
    assert proof and proof.digits == 40, proof.verdict


def test_every_factory_is_proven_or_there_is_a_reason():
    modules = tuple(f"gdjax.{folder}" for folder in FOLDERS)
    wanted = {n for n, m in cases.factories().items() if m.startswith(modules)}
    found = {rows()[name].name for name in (*IDENTICAL, *TO_40_DIGITS)} | set(OTHERS)
    elsewhere = {"cocob", "scale_by_cocob"}  # in test_elementwise
    assert not found & NOT_PROVEN.keys()
    assert wanted == found | NOT_PROVEN.keys() | elsewhere


def test_a_norm_is_proven_before_it_is_run_as_one():
    """A function with its name that is something else is run as what it is."""
    x = jax.ShapeDtypeStruct((2, 3), jnp.float64)
    with numerics.enable_x64(True):
        of = lambda f: axes_of(jax.make_jaxpr(f)(x))
        assert of(numerics.norm) == (0, 1)
        assert of(lambda x: numerics.norm(x, 1)) == (1,)
        assert of(lambda x: numerics.norm(x, 0, keepdims=True)) == (0,)
        assert of(lambda x: 2 * numerics.norm(x)) is None
        assert of(lambda x: jnp.where(x[0, 0] < 2.0**-700, 0, numerics.norm(x))) is None


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("trust_ratio", ("scale_by_trust_ratio", "lars-nesterov")),
        ("polyak", ("scale_by_polyak", "polyak_sgd")),
    ],
)
def test_every_mutant_is_refused(file, names):
    """Constants, signs, operators and comparisons, one after the other."""
    txs = [rows()[name] for name in names]
    proven = lambda: all(contract.prove(tx, shape=LEAF, steps=1) for tx in txs)
    survivors = set()
    for mutant in mutants([file]):
        with in_place(mutant, compiled=False):
            if proven():
                survivors.add(mutant.key)
    assert not survivors and proven()
