"""Random calls in both libraries: all factories, the table of differences, planted faults."""

from __future__ import annotations

import jax
import pytest

from gdjax.compat import optax as compat
from tests.compat.optax.fuzz import factories, runs
from tests.compat.optax.fuzz.arguments import ARGUMENTS_OF, ELSEWHERE
from tests.compat.optax.fuzz.differences import DIFFERENCES, allowed
from tests.compat.optax.fuzz.factories import Call, call, names, parameters, table
from tests.compat.optax.fuzz.functions import FUNCTIONS
from tests.compat.optax.fuzz.report import main, rows
from tests.helpers import first

pytestmark = pytest.mark.filterwarnings("ignore")  # what optax deprecates is called as well
PARTS = 23


def test_every_argument_of_every_factory_is_drawn():
    missing = [
        f"{name}: {p.name}"
        for name in names()
        if name not in factories.SPECIAL
        for p in parameters(name)
        if p.name not in table(name)
    ]
    assert missing == [], "add its kind to tests/compat/optax/fuzz/arguments.py"
    known = {*names(), "partition", "tree.bias_correction"}  # second names
    assert {*ARGUMENTS_OF, *FUNCTIONS, *factories.SPECIAL} <= known
    assert not known & set(ELSEWHERE)


def test_a_seed_is_one_call():
    for name in names():
        one, again, other = (call(name, seed) for seed in (3, 3, 4))
        assert one == again and one.text == other.text and "N[" not in one.pasteable
        compile(one.pasteable, name, "eval")
    assert call("adam", 3).numbers != call("adam", 4).numbers


@pytest.mark.parametrize("part", first(4, range(PARTS)))
def test_random_calls_agree(part, x64):
    """A part of the functions; the others are slow tests, more calls of each a command."""
    found = [
        f"{row.call.pasteable}: {row.found.kind}: {row.found.what}"
        for row in rows(10, 0, names()[part::PARTS], lanes=1)
        if row.found.disagrees and not row.reason
    ]
    assert found == []


# A call for each row of the table that the fuzz may meet.
SHOWN = {
    "`adan`": "o.adan(0.1)",
    "`rprop`": "o.rprop(0.1)",
    "`yogi`": "o.yogi(0.1)",
    "`acprop`": "o.contrib.acprop(0.1)",
    "`adadelta()` without a rate": "o.adadelta()",
    "`radam` with a threshold below 4": "o.radam(0.1, b2=0.3, threshold=0.5)",
    "`madgrad`": "o.contrib.madgrad(0.1, eps=0.1)",
    "`lbfgs`": "o.lbfgs(0.1, linesearch=None)",
    "`momo`, `momo_adam`": "o.contrib.momo(0.1, weight_decay=0.5)",
    "`mechanize`": "o.contrib.mechanize(o.sgd(0.1))",
    "`scale_by_zoom_linesearch`": "o.chain(o.sgd(1.0), o.scale_by_zoom_linesearch(20, tol=0.1))",
    "`scale_by_backtracking_linesearch`": (
        "o.chain(o.adam(1.0), o.scale_by_backtracking_linesearch(1))"
    ),
    "`prodigy`": "o.contrib.prodigy(betas=(0.999, 0.164), eps=0.03, weight_decay=0.1)",
    "`sophia`": (
        "o.contrib.sophia(0.1, gamma=1.0, clip_threshold=10.0, hessian_diagonal_fn="
        "o.stateless(lambda u, p: jax.tree.map(lambda g: g * g, u)))"
    ),
    "noise: `add_noise`, `noisy_sgd`, `dpsgd`, `sophia`": "o.noisy_sgd(0.1, 1.0, key=1)",
    "moments without a dtype asked for": "o.scale_by_distance_over_gradients()",
    "`MultiSteps`": "o.MultiSteps(o.sgd(0.1), 2).gradient_transformation()",
    "`measure_with_ema`": "o.monitor({'a': o.measure_with_ema(o.global_norm, 0.9)})",
    "`scale_by_ademamix(mu_dtype=...)`": "o.contrib.scale_by_ademamix(mu_dtype='float32')",
    "`scale_by_novograd(mu_dtype=...)`": "o.scale_by_novograd(mu_dtype=jnp.bfloat16)",
    "`inject_hyperparams`": "o.inject_stateful_hyperparams(o.sgd)(o.linear_schedule(1.0, 0.0, 9))",
    "`ctc_loss_with_forward_probs`": "o.losses.ctc_loss_with_forward_probs(L, LP, K, KP)",
    "`triplet_margin_loss` with an odd degree": (
        "o.losses.triplet_margin_loss(X, Y, P, norm_degree=1)"
    ),
    "`multiclass_generalized_dice_loss`": "o.losses.multiclass_generalized_dice_loss(X, B)",
    "`smooth_labels(where=...)`": "o.losses.smooth_labels(P, 0.5, where=W)",
    "`update_moment_per_elem_norm` of an odd order": "o.update_moment_per_elem_norm(T, U, 0.5, 1)",
    "0 / 0, as with eps = 0, and overflow in between": "o.losses.cosine_similarity(0 * X, Y)",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_difference_of_the_table_is_still_there(name, x64):
    text = SHOWN[name]
    of = next((n for n in names() if n in FUNCTIONS and f"o.{n}(" in text), "adam")
    it = Call(of, 0, text, (), "matrix and vector", False)
    found = runs.difference(it)
    assert found.disagrees and allowed(it, found) == name, found


def test_every_row_that_excuses_a_call_is_shown():
    # signs depend on the machine, and zeros on the seed
    elsewhere = {"`galore`", "`projection_non_negative` at 0"}
    excusing = {row.name for row in DIFFERENCES if row.calls != "(?!)"}
    assert excusing == {*SHOWN, *elsewhere}


def _later(schedule):
    return lambda *args, **kwargs: lambda t: schedule(*args, **kwargs)(t + 1)


# Faults, by the function of `compat.optax` that has them.
PLANTED = {
    "adam": lambda true: (
        lambda learning_rate, b1=0.9, b2=0.99, *rest, **more: true(
            learning_rate, b1, b2, *rest, **more
        )
    ),
    "exponential_decay": _later,
    "rmsprop": lambda true: (
        lambda *args, eps_in_sqrt=True, **more: true(*args, eps_in_sqrt=not eps_in_sqrt, **more)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name, x64, monkeypatch, capsys):
    """A wrong default, a schedule one step ahead, eps beside the root in place of inside."""
    arguments = ["--count", "32", "--only", name]
    assert main(arguments) == 0
    monkeypatch.setattr(compat, name, PLANTED[name](getattr(compat, name)), raising=False)
    runs.compiled.cache_clear()
    jax.clear_caches()
    assert main(arguments) > 0
    assert f"o.{name}(" in capsys.readouterr().out
    runs.compiled.cache_clear()
