"""`gdjax list` finds what people type: the field's terms, in any case, number and spelling."""

import pytest

from gdjax.lab.entries import FUNCTION, KINDS, entries, functions
from gdjax.lab.search import search

# A query, and the names that must be found. One with a mark comes before all others; those in
# parentheses may come first.
QUERIES = {
    "EMA": "ema! with_ema",
    "exponential moving average": "with_ema ema (momentum)",
    "polyak averaging": "incremental_update with_polynomial_averaging",
    "SWA": "with_swa!",
    "lookahead": "lookahead!",
    "Kahan": "compensated!",
    "stochastic rounding": "stochastic_rounding!",
    "master weights": "with_master_weights!",
    "mixed precision": "with_master_weights loss_scale",
    "loss scaling": "loss_scale! loss_scale_of",
    "8-bit": "store!",
    "quantize": "store!",
    "ZeRO": "zero!",
    "gradient accumulation": "accumulate accumulate_gradients apply_every",
    "gradient clipping": "clip_by_global_norm clip adaptive_grad_clip",
    "AGC": "adaptive_grad_clip!",
    "gradient noise": "add_noise noisy_sgd",
    "differential privacy": "differentially_private_aggregate dpsgd",
    "trust ratio": "scale_by_trust_ratio! lamb lars",
    "layer-wise": "lamb lars novograd (fromage)",
    "Frank-Wolfe": "scion!",
    "newton-schulz": "orthogonalize muon scale_by_muon",
    "quasi-newton": "lbfgs!",
    "second order": "shampoo sophia lbfgs",
    "line search": "lbfgs scale_by_zoom_linesearch scale_by_backtracking_linesearch",
    "low rank": "galore scale_by_galore fira scale_by_fira",
    "nesterov": "ema_nesterov nadam sgd trace (adan nadamw)",
    "heavy ball": "sgd trace",
    "sharpness": "sam!",
    "sign descent": "sign_sgd signum lion (tiger)",
    "parameter-free": "auto prodigy cocob dog dadapt_adamw",
    "weight decay": "adamw decay_weights add_decayed_weights add_cautious_weight_decay",
    "freeze": "freeze! selective_transform",
    "muP": "width_groups!",
    "target network": "incremental_update periodic_update",
    "projection": "projections.projection_box projections.projection_simplex",
    "warmup": "warmup! warmup_cosine_decay_schedule warmup_constant_schedule",
    "cosine": "cosine_decay_schedule warmup_cosine_decay_schedule (cosine_cycle_schedule)",
    "one cycle": "cosine_onecycle_schedule! linear_onecycle_schedule",
    "cooldown": "warmup_stable_decay_schedule!",
    "WSD": "warmup_stable_decay_schedule!",
    "cross entropy": "softmax_cross_entropy (poly_loss_cross_entropy)",
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_term_of_the_field_finds_what_it_means(query):
    found = [entry.name for entry in search(query)]
    before, _, also = QUERIES[query].partition("(")
    wanted = before.replace("!", "").split()
    assert set(wanted) <= set(found)
    # Nothing absurd comes first, and the list stays short.
    assert found[0] in (wanted[:1] if "!" in before else [*wanted, *also.strip(")").split()])
    assert len(found) <= 25


def test_there_are_forty_terms():
    assert len(QUERIES) >= 40


@pytest.mark.parametrize(
    "one, other",
    [
        ("warm-up", "WARMUPS"),
        ("newton schulz", "Newton–Schulz"),
        ("µP", "muP"),
        ("quantise", "quantization"),
        ("8bit", "8-bit"),
    ],
)
def test_case_hyphens_and_endings_do_not_count(one, other):
    assert search(one) == search(other) != []


def test_names_come_before_first_lines_and_these_before_bodies():
    found = [entry.name for entry in search("adam")]
    assert found[0] == "adam"
    for earlier, later in [("adam_mini", "adamw"), ("adamw", "adabelief")]:
        assert found.index(earlier) < found.index(later)
    names = [entry.name for entry in search("nesterov")]
    assert names.index("ema_nesterov") < names.index("sgd") < names.index("scale_by_nadam")


def test_patterns_of_names():
    assert [e.name for e in search("*_onecycle_*")] == [e.name for e in search("one cycle")][:2]
    assert not search("*_nothing_*") and not search("xyzzy") and not search(" - ")


def test_everything_is_found_by_nothing():
    assert search("") == [*entries(), *functions()]


def test_functions_are_entries_too():
    found = {entry.name: entry for entry in functions()}
    assert found["huber_loss"].kind == FUNCTION and FUNCTION not in KINDS
    assert {"state.find", "projections.projection_simplex", "minimize"} <= set(found)
    assert not set(found) & {entry.name for entry in entries()}
    assert all(entry.summary and entry.signature.startswith(entry.name) for entry in found.values())


def test_the_reference_is_searched():
    assert "adamw" in [entry.name for entry in search("Loshchilov")]
