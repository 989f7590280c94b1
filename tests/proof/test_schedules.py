"""Every schedule is the formula of its docstring, exactly, and a changed one is not."""

import functools
import inspect
import textwrap
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax import Number
from gdjax.compat.torch import lr_scheduler
from gdjax.compat.torch.optimizers import inverse_time
from gdjax.core.data.recipe import factories
from gdjax.proof import schedules
from gdjax.proof.angles import Angles
from gdjax.proof.notation import Unreadable
from tests.helpers import first
from tests.schedules.rows import ROWS, TORCHES

TORCH = {
    **TORCHES,
    "LambdaLR": lambda: lr_scheduler.LambdaLR(0.1, lambda t: 1 / (1 + t)),
    "ChainedScheduler": lambda: lr_scheduler.ChainedScheduler(
        0.1, [gd.linear_schedule(0.1, 0.5, 3), gd.exponential_decay(0.1, 2, 0.5)]
    ),
    "SequentialLR": lambda: lr_scheduler.SequentialLR(
        [lr_scheduler.ConstantLR(0.3), lr_scheduler.PolynomialLR(0.3, 4)], [7]
    ),
    "LinearLR": lambda: lr_scheduler.LinearLR(0.3),
    "MultiStepLR": lambda: lr_scheduler.MultiStepLR(0.3, [3, 3, 8]),
    "inverse_time": lambda: inverse_time(gd.linear_schedule(0.3, 0.1, 4), 0.5),
}


# What rows do not have: phases of no length, equal boundaries, lengths of real runs.
EDGES = {
    "restarts that hardly grow": lambda: gd.cosine_restarts_schedule(0.3, 4, 1.1),
    "peak and end at once": lambda: gd.linear_onecycle_schedule(20, 0.3, 0.0, 0.0),
    "no last phase": lambda: gd.linear_onecycle_schedule(20, 0.3, 0.5, 1.0),
    "peak at the end": lambda: gd.cosine_onecycle_schedule(20, 0.3, 1.0),
    "no stable phase": lambda: gd.warmup_stable_decay_schedule(0.5, 7, 0.4, 0.6, "cosine"),
    "equal boundaries": lambda: gd.join_schedules([0.1, 0.2, gd.linear_to_zero(1.0, 4)], [3, 3]),
    "boundaries between steps": lambda: gd.piecewise_interpolate_schedule(
        "cosine", 0.3, {2.5: 0.5, 4: 0.0}
    ),
    "no transition after a wait": lambda: gd.polynomial_schedule(1.0, 0.0, 2.0, 0, 5),
    "a fall of one step": lambda: gd.warmup_cosine_decay_schedule(0.1, 0.2, 4, 5),
    "100,000 steps": lambda: gd.warmup_cosine_decay_schedule(0.0, 1.0, 1000, 100_000),
    "more than 2²⁴ steps": lambda: gd.linear_to_zero(1.0, 2**24 + 1),
    "a function inside": lambda: gd.warmup(lambda t: 1 / (1 + t), 3),
    "nested": lambda: gd.scaled_schedule(gd.warmup(gd.cosine_cycle_schedule(1.0, 0.0, 3), 2), -0.5),
}


@functools.cache
def proof(name):
    return schedules.prove(ROWS[name].make())


@pytest.mark.parametrize("name", ROWS)
def test_proven(name):
    found = proof(name)
    assert found and not found.digits, found.verdict
    assert found.verdict.startswith("proven")


def test_every_schedule_of_the_catalogue_is_proven_and_every_number_is_a_symbol_once():
    kinds = {name for name, made in factories().items() if made.kind == "schedule" and made.is_ours}
    schedule = lambda name: ROWS[name].make()
    assert {schedule(name).name for name in ROWS} == kinds - {"live"}  # it is no function of t
    symbols, others = {}, {}
    for name in ROWS:
        made = schedule(name)
        words = {s.split(".")[0].split("[")[0] for s in proof(name).symbols}
        symbols.setdefault(made.name, set()).update(words)
        others.setdefault(made.name, set(made.factory.ranges))
    # What is no symbol in any proof: lengths in steps, shares of them, and their growth.
    lengths = {n for made in others for n, r in factories()[made].ranges.items() if r.whole}
    left = {n for made in others for n in others[made] - symbols[made]} - lengths
    assert left == {"pct_start", "pct_final", "warmup", "decay", "cycle_mult"}


@pytest.mark.parametrize("name", first(6, reversed(TORCH)))
def test_schedules_of_torch_are_proven(name):
    assert schedules.prove(TORCH[name]())


@pytest.mark.parametrize("name", EDGES)
def test_proven_at_the_edges(name):
    assert schedules.prove(EDGES[name]())


@pytest.mark.parametrize("name", ROWS)
def test_exact_values_at_boundaries(name):
    """Rational numbers; what the tests of float32 expect there is their rounding."""
    row = ROWS[name]
    got = schedules.values(row.make(), list(row.exact))
    assert all(isinstance(x, Fraction) for x in got)
    np.testing.assert_array_equal([float(x) for x in got], [float(x) for x in row.exact.values()])


# A factory, a part of its program, what takes its place, and arguments.
MUTANTS = [
    ("linear_to_zero", "step, 0, total_steps", "step, 1, total_steps", (0.3, 12)),
    (
        "linear_schedule",
        "step, transition_begin, end",
        "step + 1, transition_begin, end",
        (1, 2, 5),
    ),
    ("cosine_decay_schedule", "alpha) * real(init_value)", "alpha)", (0.3, 10, 0.1)),
    ("cosine_decay_schedule", "exponent)", "exponent * 2)", (0.3, 10, 0.1)),
    (
        "polynomial_schedule",
        "lerp(end_value, init_value",
        "lerp(init_value, end_value",
        (1, 0, 2, 4),
    ),
    ("polynomial_schedule", "raised(left, power)", "left", (1.0, 0.0, 2.0, 4)),
    (
        "exponential_decay",
        "real(decay_rate) < 1",
        "real(decay_rate) > 1",
        (1.0, 4, 0.5, 0, False, 0.1),
    ),
    ("inverse_sqrt_schedule", "jnp.sqrt(warmup", "(warmup", (0.3, 4)),
    ("piecewise_constant_schedule", "begin) >= 0", "begin) > 0", (0.3, {4: 0.5, 9: 0.1})),
    (
        "piecewise_interpolate_schedule",
        "first, last, ease",
        "last, first, ease",
        ("cosine", 1, {4: 2}),
    ),
    ("cosine_restarts_schedule", "geometric(decay, cycle)", "geometric(decay, cycle + 1)", (1, 5)),
    ("cosine_restarts_schedule", "real(cycle_mult) - 1", "real(cycle_mult)", (1, 5, 2)),
    (
        "triangular_schedule",
        "remaining(since, up, period)",
        "remaining(since, 0, period)",
        (0, 1, 4, 6),
    ),
    ("cosine_cycle_schedule", "2 * half)", "half)", (1.0, 0.0, 4)),
    ("linear_onecycle_schedule", "back, peak_value, first", "back, peak_value, last", (20, 0.3)),
    ("cosine_onecycle_schedule", "top, total, peak_value", "0, total, peak_value", (20, 0.3)),
    ("warmup", "jnp.maximum(since, 0)", "jnp.maximum(step, 0)", (gd.linear_to_zero(0.3, 9), 4)),
    ("warmup_constant_schedule", "interpolate(step, 0,", "interpolate(step, -1,", (0, 1, 4)),
    (
        "warmup_cosine_decay_schedule",
        "warmup_steps, decay_steps, cos",
        "0, decay_steps, cos",
        (0, 1, 2, 9),
    ),
    ("warmup_stable_decay_schedule", "total - real(decay)", "real(decay)", (1.0, 20)),
    ("scaled_schedule", "real(factor) * at", "at", (gd.linear_to_zero(0.3, 9), 0.5)),
]


def mutant(name, old, new):
    """The factory with a part of its source replaced, under the same docstring."""
    made = factories()[name]
    source = textwrap.dedent(inspect.getsource(made.function))
    head, mark, body = source.rpartition('"""')
    assert body.count(old) == 1, f"{old} in {name}"
    space = {**vars(inspect.getmodule(made.function)), "__name__": "mutants"}
    code = compile(head + mark + body.replace(old, new), "mutant", "exec", 1 << 24)
    exec(code, space)
    return space[name]


@pytest.mark.parametrize(("name", "old", "new", "arguments"), MUTANTS)
def test_mutants_are_refused(name, old, new, arguments):
    assert not schedules.prove(mutant(name, old, new)(*arguments))


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        (gd.linear_to_zero(1.0, 4), "c(t) = a·max(1 − t/(T + 1), 0)"),
        (gd.linear_to_zero(1.0, 4), "c(t) = a·(1 − t/T)"),
        (gd.linear_to_zero(1.0, 4), "c(t) = a·max(1 − t/T, 0) for t < T\nc(t) = a for t ≥ T"),
        (gd.linear_to_zero(1.0, 4), "t < T: c(t) = a·(1 − t/T)\nt ≥ T: c(t) = a"),
        (gd.warmup(0.3, 4), "c(t) = a + (c₂(0) − a)·t/(W − 1) for t < W\nc(t) = c₂(t) for t ≥ W"),
    ],
)
def test_other_formulas_are_refused(schedule, formula):
    found = schedules.prove(schedule, formula)
    assert not found and "the program gives" in found.verdict


@pytest.mark.parametrize(
    ("formula", "problem"),
    [
        ("c(t) = a·(1 − t/T)    for t < T", "c is not defined at t = 4"),
        ("c(t) = a·max(1 − t/T, 0)\nc(t) = a    for t ≥ 2", "the pieces of c differ at t = 2"),
        ("c(t) = a    for all t", "`for` needs a comparison"),
        ("x = a,    c(t) = x    for t ≥ 0", "one statement stands before `for`"),
        ("c(t) = y", "y is not defined"),
        ("c(t) = aᵢ    for t ≥ 0", "a_i has no index"),
        ("c(t) = f(t)", "f is no function"),
        ("c ← c + a", "a schedule keeps nothing"),
        ("step 1: c(t) = a", "a schedule keeps nothing"),
    ],
)
def test_what_is_no_formula_of_a_schedule(formula, problem):
    with pytest.raises(Unreadable, match=problem):
        schedules.prove(gd.linear_to_zero(1.0, 4), formula)


@gd.schedule
def halving(init_value: Number, every: Number):
    """Step decay by one half.

        c(t) = a·½^⌊t/n⌋

    Args:
        init_value: a, the first value.
        every: n, in steps.
    """
    return lambda step: init_value * 0.5 ** (step // every)


def test_a_schedule_of_a_user():
    """By its docstring, or by a formula with the names of the arguments."""
    assert schedules.prove(halving(1.0, every=10))
    assert schedules.prove(halving(1.0, every=10), "c(t) = init_value·½^⌊t/every⌋")
    found = schedules.prove(halving(1.0, every=10), "c(t) = init_value·⅓^⌊t/every⌋")
    assert "at step 10" in found.difference and found.symbols == ("init_value",)
    assert schedules.values(halving(0.3, every=10), [0, 10, Fraction(41, 2)]) == [
        Fraction(3, 10), Fraction(3, 20), Fraction(3, 40)
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [gd.live(0.1), 0.1, jnp.cos])
def test_what_is_no_schedule(wrong):
    with pytest.raises(TypeError, match="schedule must be made by a factory"):
        schedules.prove(wrong)


def test_cosines_of_fractions_of_pi():
    """Rational where they are, and with the identity of the half angle elsewhere."""
    field = Angles([], ["x"], [], {}, {})
    cos = lambda n, d: field.function("cos", field.pi * Fraction(n, d))
    sin = lambda n, d: field.function("sin", field.pi * Fraction(n, d))
    exact = {(0, 1): 1, (1, 3): Fraction(1, 2), (1, 2): 0, (2, 3): -Fraction(1, 2), (1, 1): -1}
    for (n, d), value in exact.items():
        assert {field.rational(cos(k, d)) for k in (n, -n, n + 2 * d, n - 2 * d)} == {value}
    for n, d in [(1, 5), (2, 7), (3, 8), (1, 4), (5, 11)]:
        assert field.is_zero(sin(n, 2 * d) ** 2 - (1 - cos(n, d)) / 2)
        assert field.is_zero(sin(n, d) ** 2 + cos(n, d) ** 2 - 1)
        assert field.sign(cos(n, d)) == 1 and field.sign(cos(2, 5) - cos(n, d)) == (
            1 if Fraction(n, d) > Fraction(2, 5) else -1
        )
    x = field.symbol["x"]
    assert not field.is_zero(field.function("cos", x) - 1)


def test_floors_of_logarithms_are_exact():
    field = Angles([], [], [], {}, {})
    log = lambda n: field.function("log", field.number(n))
    assert field.rational(log(8) / log(2)) == 3 and field.floor(log(8) / log(2)) == 3
    assert field.floor(log(7) / log(2)) == 2 and field.floor(log(9) / log(2)) == 3
    assert field.rational(log(Fraction(9, 4)) / log(Fraction(3, 2))) == 2
