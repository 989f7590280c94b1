"""Arguments of losses: passed on, traced, and those that do not go together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.losses.inputs import FRAMES, GROUPS, IMAGE, LABELS, MASK, SOFT, X


def test_fenchel_young_passes_arguments_on():
    loss = gd.make_fenchel_young_loss(lambda s, scale, shift=0.0: scale * jnp.max(s) + shift)
    np.testing.assert_allclose(
        loss(X[None], SOFT, 2.0, shift=1.0)[0], 2 * X.max(-1) + 1 - (X * SOFT).sum(-1), rtol=1e-6
    )


@pytest.mark.slow
def test_hyperparameters_may_be_traced():
    def total(delta, alpha, gamma, epsilon, temperature, margin, smooth):
        x, soft = jnp.asarray(X, jnp.bfloat16), jnp.asarray(SOFT, jnp.float32)
        return (
            gd.huber_loss(x, delta=delta).sum()
            + gd.sigmoid_focal_loss(x, soft, alpha=alpha, gamma=gamma).sum()
            + gd.poly_loss_cross_entropy(x, soft, epsilon=epsilon).sum()
            + gd.ntxent(x, jnp.array([0, 1, 1, 0]), temperature)
            + gd.triplet_margin_loss(x, soft, x[:1], margin=margin, eps=smooth).sum()
            + gd.cosine_similarity(x, soft, epsilon=epsilon).sum()
            + gd.dice_loss(x, soft, smooth=smooth, alpha=alpha, beta=gamma).sum()
            + gd.smooth_labels(soft, alpha).sum()
        )

    numbers = 0.7, 0.3, 1.5, 0.2, 0.4, 1.1, 0.6
    arrays = [jnp.asarray(n) for n in numbers]
    value, gradients = jax.jit(jax.value_and_grad(total, argnums=range(7)))(*arrays)
    np.testing.assert_allclose(value, total(*numbers), rtol=1e-5)
    assert all(jnp.isfinite(g) for g in gradients)


EIGHT = np.zeros(8, np.float32)

REFUSED = {
    "pairs": (lambda: gd.squared_error(EIGHT, EIGHT[:, None]), "one broadcast to the other"),
    "pairs of huber": (lambda: gd.huber_loss(EIGHT[:, None], EIGHT), "predictions and targets"),
    "lengths": (lambda: gd.softmax_cross_entropy(X, X[:, :3]), "logits and labels"),
    "axis": (lambda: gd.softmax_cross_entropy(X, SOFT, axis=2), "distinct axes"),
    "axes": (lambda: gd.cosine_similarity(X, SOFT, axis=(0, -2)), "distinct axes"),
    "where": (lambda: gd.kl_divergence(X, SOFT, where=np.ones(3, bool)), "where must have"),
    "labels": (
        lambda: gd.softmax_cross_entropy_with_integer_labels(X, LABELS[:3]),
        "labels must have the shape",
    ),
    "scores": (lambda: gd.multiclass_hinge_loss(X, LABELS[:, None]), "without the last axis"),
    "ntxent": (lambda: gd.ntxent(X, GROUPS), "labels"),
    "ctc frames": (lambda: gd.ctc_loss(X, X, LABELS, LABELS), "logits must be"),
    "ctc labels": (
        lambda: gd.ctc_loss(FRAMES[0], FRAMES[1], LABELS, LABELS),
        "labels and label_paddings",
    ),
    "dice shapes": (lambda: gd.dice_loss(IMAGE, MASK[..., :2]), "same shape"),
    "dice reduction": (lambda: gd.dice_loss(IMAGE, MASK, reduction="max"), "reduction"),
    "dice axis": (lambda: gd.dice_loss(IMAGE, MASK, axis=-1), "of the classes"),
    "dice weights": (lambda: gd.dice_loss(IMAGE, MASK, class_weights=EIGHT), "class_weights"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_raises(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_are_no_predictions():
    with pytest.raises(TypeError, match="predictions must be"):
        gd.squared_error(LABELS, LABELS)
    with pytest.raises(TypeError, match="labels must be integers"):
        gd.softmax_cross_entropy_with_integer_labels(X, SOFT[:, 0])
    with pytest.raises(TypeError, match="floating"):
        gd.softmax_cross_entropy(1j * X, SOFT)
