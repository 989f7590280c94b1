"""The table of what `compat.optax` does otherwise than optax, in the docs and in the fuzz.

Everything else that the fuzz finds is a fault. `python -m tests.update` writes the table into
`docs/migration.md`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.compat.optax.fuzz.compare import Found
from tests.compat.optax.fuzz.factories import Call

__all__ = ["DIFFERENCES", "Difference", "allowed", "markdown"]

NOISE = r"noise|noisy|dpsgd|differentially|hutchinson|sophia\((?!.*stateless)"


class Difference(NamedTuple):
    """A row of the table, and the calls in which it may be seen."""

    name: str
    ours: str
    theirs: str
    calls: str = "(?!)"  # a regular expression of its text; by default of none
    found: str = "numbers"  # and of what was found, from its first letter on


DIFFERENCES = [
    Difference(
        "`adan`",
        "the paper's",
        "its coefficient is right for b2 = 0.5 alone",
        r"adan\((?!([^,]*, ){1,2}0\.5\b|.*b2=0\.5\b)",
    ),
    Difference("`rprop`", "moves in the first step", "does not", r"rprop\("),
    Difference(
        "`yogi`",
        "means start at 0, as in the paper",
        "the mean gradient starts at the value of v",
        r"yogi\(",
    ),
    Difference("`acprop`", "corrects the bias of the steps taken", "of one more", r"acprop\("),
    Difference(
        "`adadelta()` without a rate",
        "descends, as in the paper",
        "climbs",
        r"o\.adadelta\((None|learning_rate=None|\)|(?!learning_rate)\w+=)",
    ),
    Difference(
        "`radam` with a threshold below 4",
        "momentum alone up to a length of 4, where the variance is not finite, as in the paper",
        "takes its formula there too",
        r"radam\(.*(threshold=|, )(2\.0|0\.5)",
    ),
    Difference(
        "`madgrad`",
        "eps in the denominator alone, as in the paper; float64 where that is enabled",
        "adds it to the learning rate as well; in part float32",
        r"madgrad\((?!.*(eps=|, )0\.0\)$)",
    ),
    Difference(
        "`lbfgs`",
        "passes over a step along which the gradient did not grow, and forgets all where nothing "
        "moved",
        "takes them",
        r"lbfgs\(",
    ),
    Difference(
        "`momo`, `momo_adam`",
        "decay is the paper's, a division",
        "subtracted",
        r"momo(_adam)?\((([^=()]*,){3}|.*weight_decay)",
    ),
    Difference(
        "`mechanize`",
        "keeps the sum of the steps (one more field); no step at first, as in the paper",
        "recovers it from the parameters; a step of the inner transformation times `s_init`",
        r"mechanize\(",
        "numbers|form: state",
    ),
    Difference(
        "`scale_by_zoom_linesearch`",
        "trial lengths of its own, which Nocedal and Wright leave open; no step where no length "
        "decreases the loss; messages of its own",
        "the shortest length tried",
        r"zoom_linesearch",
    ),
    Difference(
        "`scale_by_backtracking_linesearch`",
        "no step where no length decreases the loss",
        "the shortest length tried",
        r"backtracking_linesearch",
        r"numbers: (updates.*: -?0\.0, not|state.*(info|learning_rate))",
    ),
    Difference(
        "`prodigy`",
        "eps times the d of the step, as in the paper",
        "times the one after it",
        r"prodigy\((?!.*eps=0\.0\b)",
    ),
    Difference(
        "`sophia`",
        "divides by the Hessian estimated in the same step, as in the paper",
        "in the step before",
        r"sophia\(.*stateless",
    ),
    Difference(
        "noise: `add_noise`, `noisy_sgd`, `dpsgd`, `sophia`",
        "other random numbers of the same key; the key stays in the state",
        "splits the key",
        NOISE,
    ),
    Difference(
        "moments without a dtype asked for",
        "float32 at least; complex for complex gradients, whatever was asked for",
        "the dtype of the parameters; float32 in `scale_by_distance_over_gradients`",
        r"distance_over_gradients",
        r"form: state|numbers",
    ),
    Difference(
        "`MultiSteps`",
        "gathers in float32 at least",
        "in float32",
        r"MultiSteps\(",
        r"form: state.*acc_grads",
    ),
    Difference(
        "`scale_by_ademamix(mu_dtype=...)`",
        "the moment keeps its dtype",
        "not always, as where the dtype is given by name",
        r"ademamix\(",
        r"form: state.*\.m1",
    ),
    Difference(
        "`scale_by_novograd(mu_dtype=...)`",
        "updates in the dtype of the gradients",
        "in that of the moment",
        r"novograd\(",
        r"form: updates",
    ),
    Difference(
        "`inject_hyperparams`",
        "numbers in float32; what a factory says is none stays as it is",
        "in the dtype of the parameters",
        r"inject_(stateful_)?hyperparams",
        r"form: state.*hyperparams",
    ),
    Difference(
        "`measure_with_ema`",
        "one state, with what was measured",
        "the state of a chain",
        r"measure_with_ema",
        r"form: state.*measure",
    ),
    Difference("`monitor`", "its state names the measures from the start", "after an update"),
    Difference(
        "`galore`",
        "singular vectors, and moments along them, of other signs",
        "of those of its SVD",
        r"galore",
        r"numbers: state",
    ),
    Difference("schedules", "in float64 where that is enabled", "float32"),
    Difference("`MultiSteps(tx, 1)`", "has no accumulator", "has one"),
    Difference("`named_chain`", "its state is a dict", "an `OrderedDict`"),
    Difference("gradients that are integers", "pass unchanged", "are scaled"),
    Difference(
        "a mode or structure that does not exist",
        "an error where it is given",
        "in the first update",
    ),
    Difference(
        "`ctc_loss_with_forward_probs`",
        "log b is of a blank in the last frame, as in the paper",
        "or of a label before it",
        r"ctc_loss_with_forward_probs",
    ),
    Difference(
        "`triplet_margin_loss` with an odd degree",
        "of absolute differences",
        "of signed ones",
        r"triplet_margin_loss\(.*(norm_degree=1|(-1|0), 1\b)",
    ),
    Difference(
        "`multiclass_generalized_dice_loss`",
        "weights of sum 1, so that `smooth` is in pixels; an absent class weighs as the rarest",
        "weights as they are",
        r"multiclass_generalized_dice_loss",
    ),
    Difference(
        "`smooth_labels(where=...)`",
        "labels that are not included do not change",
        "are smoothed as well",
        r"smooth_labels\(.*where=W",
    ),
    Difference(
        "`update_moment_per_elem_norm` of an odd order",
        "of the absolute values",
        "of the values",
        r"update_moment_per_elem_norm\(.*(order=| )[13]\)",
    ),
    Difference(
        "`projection_non_negative` at 0",
        "the derivative is one half",
        "0",
        r"projection_non_negative",
        r"numbers: derivative",
    ),
    Difference("steps before 0", "the value at 0", "extrapolated"),
    Difference(
        "0 / 0, as with eps = 0, and overflow in between",
        "0, and finite where the result is",
        "not finite",
        "",
        r"numbers: [^:]*: (?!nan)[^,]*, not (nan|-?inf)",
    ),
]


def allowed(call: Call, found: Found) -> str:
    """The row that has a disagreement, or ""."""
    said = f"{found.kind}: {found.what}"
    for row in DIFFERENCES:
        if re.search(row.calls, call.text) and re.match(row.found, said):
            return row.name
    return ""


def markdown() -> str:
    """The table of the docs."""
    lines = [f"| {row.name} | {row.ours} | {row.theirs} |" for row in DIFFERENCES]
    return "\n".join(["| | `compat.optax` | optax 0.2.8 |", "| --- | --- | --- |", *lines])
