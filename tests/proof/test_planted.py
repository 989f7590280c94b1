"""Faults planted in matrix rules: each is refuted by an identity."""

import contextlib
import importlib
import pathlib

import jax
import pytest

from tests.proof import test_factored, test_matrices, test_orthogonalized, test_preconditioners

FILES = test_factored, test_matrices, test_orthogonalized, test_preconditioners
IDENTITIES = {each.name: each for file in FILES for each in file.IDENTITIES}
CORE, RULES = "gdjax.core.matrix.", "gdjax.optimizers."
FAULTS = {  # what is planted: the module, the text that goes, the text that comes
    "polynomials_of_matrices_of_any_size": [
        (CORE + "polar", "b * r + c * square", "b * r + 1.0001 * c * square"),
        (CORE + "polar", "times(times(p, gram), p)", "times(p, gram)"),
    ],
    "polynomials_of_singular_values": [
        (CORE + "polar", "step(x: jax.Array, triple: Any) -> tuple[jax.Array, None]:\n        return _polynomial(x @ x.mT.conj(), triple) @ x",
         "step(x: jax.Array, triple: Any) -> tuple[jax.Array, None]:\n        return _polynomial(x @ x.mT.conj(), triple) @ x * 1.001"),
    ],
    "both_aspects": [(CORE + "polar", "scaling, gram, dtype).mT.conj()", "scaling, gram, dtype).mT.conj()[::-1]")],
    "derivative_of_the_exact_polar_factor": [(CORE + "polar", "inner - inner.mT.conj()", "inner - inner")],
    "powers_of_inverse_roots": [(CORE + "inverse_roots", "** (1 / root)  # 0", "** (2 / root)  # 0")],
    "residuals_of_newton": [(CORE + "inverse_roots", "t = ((1 + root) * eye - m) / root", "t = ((1 + root) * eye - m) / (root + 1)")],
    "shampoo_of_any_state": [
        (RULES + "matrix.shampoo", "return x @ y if side else y @ x", "return y @ x if side else x @ y"),
        (RULES + "matrix.shampoo", "p = 2 * sum(", "p = 1 * sum("),
    ],
    "shampoo_of_blocks": [
        (RULES + "matrix.shampoo", "return x.mT.conj() @ x if side else x @ x.mT.conj()", "return x @ x.mT.conj() if side else x.mT.conj() @ x"),
    ],
    "soap_is_adam_in_a_basis": [
        (RULES + "matrix.soap", "return x if right is None else x @ right.mT.conj()", "return x if right is None else x @ right"),
        (RULES + "matrix.soap", "ema(left, g @ g.mT.conj(), decay)", "ema(left, g.mT.conj() @ g, decay)"),
        (RULES + "matrix.soap", "abs_sq(rotate(g, Q))", "abs_sq(g)"),
    ],
    "soap_of_common_singular_vectors_is_adam": [
        (RULES + "matrix.soap", "nu = jnp.take(nu, order, axis=side)", "nu = jnp.take(nu, order[::-1], axis=side)"),
        (RULES + "matrix.soap", "jnp.maximum(state.count, 1) if skip_first", "t if skip_first"),
    ],
    "kl_shampoo_of_any_state": [
        (RULES + "matrix.kl_shampoo", "w @ w.mT.conj() if side == 0 else w.mT @ w.conj()", "w @ w.mT.conj() if side == 0 else w.mT @ w.conj() * 2"),
        (RULES + "matrix.kl_shampoo", "count = g.shape[1 - side]", "count = g.shape[side]"),
    ],
    "kron_of_triangular_factors": [
        (RULES + "matrix.kron", "jnp.triu(a - b)", "jnp.triu(a + b)"),
        (RULES + "matrix.kron", "(q.mT.conj() if adjoint else q) @ x", "q @ x"),
    ],
    "adam_of_projections": [(RULES + "matrix.galore", "scale * (p @ n)", "p @ n")],
    "muon": [(RULES + "matrix.muon", "debias(b1, increment(t) if nesterov else t)", "debias(b1, t)")],
    "three_factors_of_shape": [(RULES + "matrix.muon", "ratio = columns / max(rows, 1)", "ratio = rows / max(columns, 1)")],
    "normalized_neurons": [(RULES + "matrix.normuon", "jnp.sum(abs_sq(g), -2) / max", "jnp.sum(abs_sq(g), -1) / max")],
    "largest_rows": [(RULES + "matrix.dion2", ".set(b1 * part)", ".set((1 - b1) * part * 1.5)")],
    "oracles_of_norms": [(RULES + "matrix.scion", '"columns": lambda x: unit(x, length(x, -2)) / side(x, -2)', '"columns": lambda x: unit(x, length(x, -2)) / side(x, -1)')],
    "weights_on_a_ball": [("gdjax.transforms.weight_norm", "unit(moved, length(moved)) - p", "moved / r - p")],
    "factored_second_moments": [(RULES + "factored.adafactor", "mean_over(r, row, spec)", "mean_over(r, column, spec)")],
    "clipped_attention": [(RULES + "matrix.muon_clip", "((query, 0.5), (key, 0.5)", "((query, 0.5), (key, 1.0)")],
}  # fmt: skip


@contextlib.contextmanager
def planted(name, old, new):
    """The functions of a module, with a text in place of another."""
    module = importlib.import_module(name)
    text = pathlib.Path(module.__file__).read_text()
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
        jax.clear_caches()
        yield
    finally:
        for function, (code, _) in found.items():
            function.__code__ = code
        jax.clear_caches()


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, faults in FAULTS.items() for fault in faults]
)
def test_faults_are_refuted(name, fault):
    with planted(*fault):
        assert IDENTITIES[name].refuted()
