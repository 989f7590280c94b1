"""Faults planted in matrix rules: each is refuted by an identity."""

import contextlib
import importlib
import pathlib

import jax
import pytest

import gdjax
from tests.proof import test_factored, test_matrices, test_orthogonalized, test_preconditioners
from tests.proof.exact import traced

FILES = test_factored, test_matrices, test_orthogonalized, test_preconditioners
IDENTITIES = {each.name: each for file in FILES for each in file.IDENTITIES}
ROOT = pathlib.Path(gdjax.__file__).parent
FAULTS = (  # the identity; the module; the text that goes; the text that comes
    # Coefficients
    ("polynomials_of_matrices_of_any_size", "polar", "+ triple[2] *", "+ 1.0001 * triple[2] *"),
    (
        "polynomials_of_singular_values",
        "polar",
        "x, _ = step(x, triple)",
        "x, _ = step(1.001 * x, triple)",
    ),
    ("best_polynomials", "polar_coefficients", "best *= 2 / ends.sum()", "best *= 2 / ends.max()"),
    ("powers_of_inverse_roots", "inverse_roots", "** (1 / root)  # 0", "** (2 / root)  # 0"),
    ("residuals_of_newton", "inverse_roots", "* eye - m) / root", "* eye - m) / (root + 1)"),
    ("shampoo_of_any_state", "shampoo", "p = 2 * sum(", "p = 1 * sum("),
    ("kl_shampoo_of_any_state", "kl_shampoo", "count = g.shape[1 - side]", "count = g.shape[side]"),
    ("kron_of_triangular_factors", "kron", "jnp.triu(a - b)", "jnp.triu(a + b)"),
    ("adam_of_projections", "matrix/galore", "scale * (p @ n)", "p @ n"),
    ("muon", "matrix/muon", "debias(b1, increment(t) if nesterov else t)", "debias(b1, t)"),
    ("largest_rows", "dion2", ".set(b1 * part)", ".set((1 - b1) * part * 1.5)"),
    ("weights_on_a_ball", "weight_norm", "unit(moved, length(moved)) - p", "moved / r - p"),
    ("clipped_attention", "muon_clip", "(key, 0.5)", "(key, 1.0)"),
    # Sides
    ("shampoo_of_blocks", "shampoo", "@ x if side else x @ x.mT", "@ x if not side else x @ x.mT"),
    ("shampoo_of_any_state", "shampoo", "x @ y if side else y @ x", "y @ x if side else x @ y"),
    ("soap_is_adam_in_a_basis", "soap", "ema(left, g @ g.mT.conj()", "ema(left, g.mT.conj() @ g"),
    ("three_factors_of_shape", "matrix/muon", "columns / max(rows, 1)", "rows / max(columns, 1)"),
    ("normalized_neurons", "normuon", "/ max(g.shape[-2], 1)", "/ max(g.shape[-1], 1)"),
    ("oracles_of_norms", "scion", "length(x, -2)) / side(x, -2)", "length(x, -2)) / side(x, -1)"),
    (
        "factored_second_moments",
        "factored/adafactor",
        "mean_over(r, row, spec)",
        "mean_over(r, column, spec)",
    ),
    # Transposes, rotations and permutations
    ("polynomials_of_matrices_of_any_size", "polar", "times(times(p, gram), p)", "times(p, gram)"),
    ("both_aspects", "polar", "gram, dtype).mT.conj()", "gram, dtype).mT.conj()[::-1]"),
    ("derivative_of_the_exact_polar_factor", "polar", "inner - inner.mT.conj()", "inner - inner"),
    ("soap_is_adam_in_a_basis", "soap", "else x @ right.mT.conj()", "else x @ right"),
    ("soap_is_adam_in_a_basis", "soap", "abs_sq(rotate(g, Q))", "abs_sq(g)"),
    ("soap_of_common_singular_vectors_is_adam", "soap", "take(nu, order,", "take(nu, order[::-1],"),
    ("kl_shampoo_of_any_state", "kl_shampoo", "rotate_back(by_roots", "rotate(by_roots"),
    ("kron_of_triangular_factors", "kron", "(q.mT.conj() if adjoint else q) @ x", "q @ x"),
)


@contextlib.contextmanager
def planted(name, old, new):
    """The functions of a module, with a text in place of another."""
    (file,) = ROOT.rglob(f"{name}.py")
    module = importlib.import_module(".".join(file.relative_to(ROOT.parent).with_suffix("").parts))
    text = file.read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}"
    found = {}
    for code in compile(text.replace(old, new), module.__file__, "exec").co_consts:
        function = getattr(module, getattr(code, "co_name", ""), None)
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if hasattr(function, "__code__"):
            found[function] = function.__code__, code
    try:
        for function, (_, code) in found.items():
            function.__code__ = code
        _forget()
        yield
    finally:
        for function, (code, _) in found.items():
            function.__code__ = code
        _forget()


def _forget():
    """What was traced before."""
    jax.clear_caches()
    traced.cache_clear()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0]}: {fault[3]}")
def test_faults_are_refuted(fault):
    identity, *change = fault
    with planted(*change):
        assert IDENTITIES[identity].refuted()
