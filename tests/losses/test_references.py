"""Losses against recordings of torch and Keras, and against optax."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax as gd
from tests.helpers import first
from tests.losses.inputs import (
    BITS,
    FRAMES,
    GROUPS,
    IMAGE,
    KEEP,
    KEPT_ROWS,
    LABELS,
    LOG_P,
    MASK,
    META,
    NAMES,
    POINTS,
    RECORDED,
    SIGNS,
    SOFT,
    UNIT,
    C,
    X,
    Z,
    given,
)
from tests.losses.test_definitions import DEFINED


def five(function):
    """Keras knows the mean over a row of five only, recorded times five."""
    return lambda *args, **kwargs: jnp.sum(function(*args, **kwargs), axis=-1)


def smoothed(logits, labels):
    return gd.softmax_cross_entropy(logits, gd.smooth_labels(jax.nn.one_hot(labels, 5), 0.1))


def ctc(logits, frame_lengths, labels, label_lengths):
    def pads(lengths, n):
        return (jnp.arange(n)[None, :] >= lengths[:, None]).astype(jnp.float32)

    frame_pads = pads(frame_lengths, logits.shape[1])
    return gd.ctc_loss(logits, frame_pads, labels, pads(label_lengths, labels.shape[1]))


def with_(function, **kwargs):
    return lambda *args: function(*args, **kwargs)


BY_RECORD = {
    "torch/squared_error": gd.squared_error,
    "torch/huber": with_(gd.huber_loss, delta=0.7),
    "torch/cosine": gd.cosine_similarity,
    "torch/cosine_eps": with_(gd.cosine_similarity, epsilon=3.0),
    "torch/bce": gd.sigmoid_binary_cross_entropy,
    "torch/ce": gd.softmax_cross_entropy,
    "torch/ce_integer": gd.softmax_cross_entropy_with_integer_labels,
    "torch/ce_smooth": smoothed,
    "torch/kl": gd.kl_divergence,
    "torch/kl_log": gd.kl_divergence_with_log_targets,
    "torch/triplet": with_(gd.triplet_margin_loss, margin=0.8, eps=0.0),
    "torch/triplet_p3": with_(gd.triplet_margin_loss, margin=0.8, eps=0.0, norm_degree=3),
    "torch/ctc": ctc,
    "keras/log_cosh": five(gd.log_cosh),
    "keras/hinge": five(gd.hinge_loss),
    "keras/hinge_classes": lambda s, t: gd.multiclass_hinge_loss(s, jnp.argmax(t, -1)),
    "keras/focal": five(gd.sigmoid_focal_loss),
    "keras/focal_alpha": five(with_(gd.sigmoid_focal_loss, alpha=0.3, gamma=1.5)),
    "keras/dice": with_(gd.binary_dice_loss, smooth=0.0),
    # Recorded with alpha=0.3, which in Keras weighs the false negatives; in the paper, and here,
    # it weighs the false positives.
    "keras/tversky": with_(gd.dice_loss, alpha=0.7, beta=0.3, smooth=0.0),
}


@pytest.mark.parametrize("case", first(12, META["cases"]))
def test_values_and_gradients_of_other_packages(x64, case):
    inputs = [jnp.asarray(given(n)) for n in META["cases"][case]["inputs"].split()]
    loss = BY_RECORD[case]
    # Keras returns losses in float32, though their gradients are float64.
    close = 1e-6 if case.startswith("keras") else 1e-10
    np.testing.assert_allclose(loss(*inputs), RECORDED[case], rtol=close, atol=1e-12)
    # Keras adds 1e-7 to the denominator.
    close = 1e-7 if case in ("keras/dice", "keras/tversky") else 1e-10
    if case == "torch/cosine_eps":  # where eps bounds the norm, torch's is not the gradient
        return
    gradient = jax.grad(lambda x, *rest: jnp.sum(loss(x, *rest)))(*inputs)
    np.testing.assert_allclose(gradient, RECORDED[f"{case}/grad"], rtol=close, atol=1e-10)


# loss: calls on which optax gives what the definition says
LIKE_OPTAX = [
    ("squared_error", (X, Z), {}),
    ("squared_error", (X,), {}),
    ("l2_loss", (X, Z), {}),
    ("huber_loss", (X, Z), {"delta": 0.4}),
    ("huber_loss", (X,), {}),
    ("log_cosh", (X, Z), {}),
    ("cosine_similarity", (X, Z), {"where": KEEP}),
    ("cosine_similarity", (X, Z), {"axis": 0}),
    ("cosine_distance", (X, Z), {"axis": (0, 1)}),
    # optax's epsilon bounds the squared norm, though it says the norm; ours is torch's.
    ("cosine_distance", (X, Z), {"where": KEEP, "epsilon": 1.0}),
    ("sigmoid_binary_cross_entropy", (X, UNIT), {}),
    ("sigmoid_focal_loss", (X, UNIT), {"alpha": 0.3, "gamma": 1.7}),
    ("sigmoid_focal_loss", (X, BITS), {}),
    ("hinge_loss", (X, SIGNS), {}),
    ("perceptron_loss", (X, SIGNS), {}),
    ("sparsemax_loss", (X, BITS), {}),
    ("softmax_cross_entropy", (X, SOFT), {"where": KEEP}),
    ("softmax_cross_entropy", (X, SOFT), {"where": KEPT_ROWS}),
    ("softmax_cross_entropy", (X, SOFT), {"axis": 0}),
    ("softmax_cross_entropy", (X, SOFT), {"axis": (0, 1)}),
    ("softmax_cross_entropy", (X, SOFT), {"axis": None}),
    ("safe_softmax_cross_entropy", (X, SOFT), {}),
    ("softmax_cross_entropy_with_integer_labels", (X, LABELS), {"where": KEPT_ROWS}),
    ("softmax_cross_entropy_with_integer_labels", (X.T, LABELS), {"axis": 0}),
    ("softmax_cross_entropy_with_integer_labels", (X, np.int32(7)), {"axis": (0, 1)}),
    ("softmax_cross_entropy_with_integer_labels", (X, np.int32(7)), {"axis": (1, 0)}),
    ("poly_loss_cross_entropy", (X, SOFT), {}),
    ("poly_loss_cross_entropy", (X, SOFT), {"epsilon": -0.7, "where": KEEP}),
    ("smooth_labels", (SOFT, 0.3), {}),
    ("smooth_labels", (SOFT, 0.3), {"axis": (0, 1)}),
    ("kl_divergence", (LOG_P, SOFT), {"where": KEEP}),
    ("kl_divergence", (LOG_P, SOFT), {"axis": 0}),
    ("kl_divergence_with_log_targets", (LOG_P, np.log(SOFT)), {"where": KEEP}),
    ("generalized_kl_divergence", (LOG_P, 2 * SOFT), {"where": KEEP}),
    ("generalized_kl_divergence", (LOG_P, 2 * SOFT), {"axis": None}),
    ("convex_kl_divergence", (LOG_P, 2 * SOFT), {}),
    ("ranking_softmax_loss", (X, UNIT), {}),
    ("ranking_softmax_loss", (X, UNIT), {"where": KEEP, "weights": SOFT}),
    ("ranking_softmax_loss", (X, UNIT), {"where": KEEP, "reduce_fn": jnp.sum}),
    ("ranking_softmax_loss", (X, UNIT), {"where": KEEP & KEPT_ROWS[:, None]}),
    ("ranking_softmax_loss", (X, UNIT), {"weights": SOFT, "reduce_fn": None}),
    ("multiclass_hinge_loss", (X, LABELS), {}),
    ("multiclass_perceptron_loss", (X, LABELS), {}),
    ("multiclass_sparsemax_loss", (X, LABELS), {}),
    ("ntxent", (POINTS, GROUPS, 0.3), {}),
    ("ntxent", (POINTS, GROUPS), {}),
    ("triplet_margin_loss", (X, Z, C), {}),
    ("triplet_margin_loss", (X, Z, C), {"eps": 0.5, "margin": 2.0, "axis": 0}),
    ("dice_loss", (IMAGE, MASK), {}),
    ("dice_loss", (IMAGE, MASK), {"reduction": "sum", "alpha": 0.2, "beta": 0.9}),
    ("dice_loss", (IMAGE, MASK), {"reduction": "none", "smooth": 0.1, "axis": 1}),
    ("dice_loss", (IMAGE, MASK), {"class_weights": np.array([1.0, 2, 5])}),
    (
        "dice_loss",
        (IMAGE, MASK),
        {"class_weights": np.array([1.0, 2, 5]), "ignore_background": True},
    ),
    ("dice_loss", (np.float64(MASK), MASK), {"apply_softmax": False}),
    ("binary_dice_loss", (IMAGE[..., 0], MASK[..., 0]), {"smooth": 0.3}),
    ("binary_dice_loss", (IMAGE[..., :1], MASK[..., 0]), {}),
    ("ctc_loss", FRAMES, {}),
    ("ctc_loss", FRAMES, {"blank_id": 1}),
]


@pytest.mark.slow  # the recordings are compared with always
@pytest.mark.parametrize("name, args, kwargs", LIKE_OPTAX)
def test_optax_gives_the_same(x64, name, args, kwargs):
    args = [jnp.asarray(x) if isinstance(x, np.ndarray) else x for x in args]
    mine = jax.jit(lambda *a: getattr(gd.losses, name)(*a, **kwargs))(*args)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = getattr(optax.losses, name)(*args, **kwargs)
    assert mine.shape == theirs.shape
    np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)


def test_names_and_signatures_are_those_of_optax():
    for name in NAMES:
        mine = inspect.signature(getattr(gd.losses, name)).parameters
        theirs = inspect.signature(getattr(optax.losses, name)).parameters
        assert getattr(gd, name) is getattr(gd.losses, name)
        assert list(mine) == list(theirs), name
        for key in mine:
            assert mine[key].kind == theirs[key].kind, (name, key)
            assert mine[key].default == theirs[key].default, (name, key)


def test_every_loss_has_a_call():
    tried = {name for name, _, _ in LIKE_OPTAX} | set(DEFINED)
    assert set(NAMES) <= tried
