"""Losses against their definitions, in NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.losses.inputs import IMAGE, KEEP, LABELS, MASK, SOFT, C, X, Z


def sparsemax(z):
    """By trying every size of the support."""
    u = np.sort(z)[::-1]
    taus = [(u[:k].sum() - 1) / k for k in range(1, len(z) + 1)]
    tau = max(t for t in taus)  # the largest of them is the threshold
    return np.maximum(z - tau, 0)


def generalized_dice():
    p = np.exp(IMAGE) / np.exp(IMAGE).sum(-1, keepdims=True)
    losses = []
    for r, t in zip(p, MASK):
        w = [1 / t[..., c].sum() ** 2 for c in range(3)]
        top = sum(w[c] * (r * t)[..., c].sum() for c in range(3))
        bottom = sum(w[c] * (r + t)[..., c].sum() for c in range(3))
        losses.append(1 - 2 * top / bottom)
    return np.mean(losses)


def triplet_p1():
    near, far = np.abs(X - Z).sum(-1) + 0.5, np.abs(X - C).sum(-1) + 0.5
    return np.maximum(0, near - far + 3)


def sparsemax_losses():
    losses = []
    for z, y in zip(X, LABELS):
        p = sparsemax(z)
        losses.append(p @ z - 0.5 * p @ p + 0.5 - z[y])
    return np.array(losses)


def fenchel_young():
    return np.log(np.exp(X).sum(-1)) - (X * SOFT).sum(-1)


def masked_integer():
    p = np.where(KEEP, np.exp(X), 0)
    p = p / p.sum(-1, keepdims=True)
    rows = np.arange(4)
    return -np.log(np.where(KEEP[rows, LABELS], p[rows, LABELS], 1))


DEFINED = {
    "multiclass_generalized_dice_loss": (
        lambda: gd.multiclass_generalized_dice_loss(IMAGE, MASK, smooth=0.0),
        generalized_dice,
    ),
    "triplet_margin_loss": (
        lambda: gd.triplet_margin_loss(X, Z, C, norm_degree=1, eps=0.5, margin=3.0),
        triplet_p1,
    ),
    "multiclass_sparsemax_loss": (
        lambda: gd.multiclass_sparsemax_loss(X, LABELS),
        sparsemax_losses,
    ),
    "make_fenchel_young_loss": (
        lambda: gd.make_fenchel_young_loss(jax.nn.logsumexp)(X, SOFT),
        fenchel_young,
    ),
    "softmax_cross_entropy_with_integer_labels": (
        lambda: gd.softmax_cross_entropy_with_integer_labels(X, LABELS, where=KEEP),
        masked_integer,
    ),
    "ctc_loss_with_forward_probs": (
        lambda: jnp.exp(-gd.ctc_loss_with_forward_probs(*small_ctc())[0]),
        lambda: by_enumeration(*small_ctc()),
    ),
}


def small_ctc():
    frames = np.random.default_rng(3).standard_normal((2, 5, 3))
    pads = np.array([[0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]])
    return frames, pads, np.array([[1, 1], [2, -9]]), np.array([[0, 0], [0, 1.0]])


def by_enumeration(frames, frame_pads, labels, label_pads):
    """The probability of each label sequence: the sum over all 3⁵ alignments."""
    out = []
    for x, fp, y, lp in zip(frames, frame_pads, labels, label_pads):
        p = (np.exp(x) / np.exp(x).sum(-1, keepdims=True))[fp == 0]
        total = 0.0
        for path in itertools.product(range(3), repeat=len(p)):
            merged = [k for k, _ in itertools.groupby(path) if k != 0]
            total += np.prod(p[np.arange(len(p)), path]) if merged == list(y[lp == 0]) else 0
        out.append(total)
    return np.array(out)


@pytest.mark.parametrize("name", DEFINED)
def test_values_by_definition(x64, name):
    mine, definition = DEFINED[name]
    np.testing.assert_allclose(mine(), definition(), rtol=1e-12)


def test_forward_probabilities(x64):
    """b and y after each frame, of the beginnings of paths."""
    frames, pads, labels, label_pads = small_ctc()
    _, b, y = gd.ctc_loss_with_forward_probs(frames, pads, labels, label_pads)
    assert b.shape == (5, 2, 3) and y.shape == (5, 2, 2)
    for t, n in itertools.product(range(1, 6), range(3)):
        part = frames[:1, :t], pads[:1, :t], labels[:1, :n], label_pads[:1, :n]
        both = jnp.exp(b[t - 1, 0, n]) + (jnp.exp(y[t - 1, 0, n - 1]) if n else 0.0)
        np.testing.assert_allclose(both, by_enumeration(*part)[0], rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(b[3, 1], b[4, 1])  # a padded frame changes nothing


def test_triplets_that_differ_in_one_entry_or_in_none():
    near = gd.triplet_margin_loss(*map(np.float32, ([3, 0], [0, 0], [3, 1])), eps=0.0)
    same = gd.triplet_margin_loss(*map(np.float32, ([3, 0], [3, 0], [3, 0.25])), eps=0.0)
    assert (near, same) == (3 - 1 + 1, 0 - 0.25 + 1)


RNG = np.random.default_rng(5)
SCORES, PLACES = RNG.standard_normal((2, 3, 4)), RNG.integers(0, 4, (2, 3))
PARTS = np.eye(4)[PLACES]
OF_EACH = {
    "multiclass_hinge_loss": (PLACES, {}),
    "multiclass_perceptron_loss": (PLACES, {}),
    "multiclass_sparsemax_loss": (PLACES, {}),
    "multiclass_logistic_loss": (PLACES, {}),
    "softmax_cross_entropy_with_integer_labels": (PLACES, {}),
    "softmax_cross_entropy": (PARTS, {}),
    "kl_divergence": (PARTS, {}),
    "cosine_distance": (PARTS, {}),
    "ranking_softmax_loss": (PARTS, {"reduce_fn": None}),
}


@pytest.mark.parametrize("name", [name for name in OF_EACH if hasattr(gd, name)])
def test_leading_axes_number_examples(name):
    targets, more = OF_EACH[name]
    loss = lambda x, y: getattr(gd, name)(x, y, **more)
    flat = loss(SCORES.reshape(6, 4), targets.reshape(6, *targets.shape[2:]))
    np.testing.assert_allclose(loss(SCORES, targets), flat.reshape(2, 3), rtol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_dice_loss_of_classes(reduction):
    """Classes are the last axis: losses of each, their mean or sum; the first may be left out."""
    weights = np.array([3.0, 1.0, 2.0])
    about = {"class_weights": weights, "reduction": reduction, "ignore_background": True}
    of_class = lambda c: gd.dice_loss(
        np.exp(IMAGE)[..., [c]] / np.exp(IMAGE).sum(-1, keepdims=True),
        MASK[..., [c]],
        apply_softmax=False,
        reduction="sum",
    )
    each = np.stack([weights[c] * of_class(c) for c in (1, 2)], axis=-1)
    how = {"none": lambda x: x, "mean": lambda x: x.mean(-1), "sum": lambda x: x.sum(-1)}
    found = gd.dice_loss(IMAGE, MASK, **about)
    np.testing.assert_allclose(found, how[reduction](each), rtol=1e-5)


def test_one_class_that_is_included_keeps_its_label():
    y, where = np.float32([1, 0, 0]), np.array([True, False, False])
    np.testing.assert_allclose(gd.smooth_labels(y, 0.2, where=where), y)


def test_tiny_distances_of_triplets_do_not_underflow():
    a, b = np.float32([1e-30, 0]), np.zeros(2, np.float32)
    np.testing.assert_allclose(gd.triplet_margin_loss(a, b, a, eps=0.0, margin=0.0), 1e-30)


def test_lists_of_more_axes_that_are_partly_included():
    where = RNG.random((2, 3, 4)) < 0.6
    where[0, 0] = False  # a list without entries does not count
    loss = lambda *shape: gd.ranking_softmax_loss(
        *(x.reshape(*shape, 4) for x in (SCORES, PARTS)), where=where.reshape(*shape, 4)
    )
    np.testing.assert_allclose(loss(2, 3), loss(6), rtol=1e-6)


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_that_is_no_class_gives_nan(label):
    x, y = SCORES[0, :1], np.array([label])
    for where in (None, np.array([[True, True, True, False]]), np.array([[False] + [True] * 3])):
        assert np.isnan(gd.softmax_cross_entropy_with_integer_labels(x, y, where=where))
        more = None if where is None else where[None]
        assert np.isnan(gd.softmax_cross_entropy_with_integer_labels(x[None], y[None], where=more))


def test_of_one_class_the_axis_of_classes_may_be_left_out():
    p, t = IMAGE[..., :1], MASK[..., :1]
    for given in ((p[..., 0], t), (p, t[..., 0])):
        np.testing.assert_allclose(gd.dice_loss(*given), gd.dice_loss(p, t), rtol=1e-6)
    for given in ((p[..., 0], MASK), (IMAGE, t[..., 0]), (p[..., 0], t[..., None])):
        with pytest.raises(ValueError, match="must have the same shape"):
            gd.dice_loss(*given)


def test_the_background_is_left_out_where_there_is_another_class():
    one, two = ((IMAGE[..., :n], MASK[..., :n]) for n in (1, 2))
    left_out = {"ignore_background": True, "smooth": 0.5}
    np.testing.assert_allclose(gd.dice_loss(*one, **left_out), gd.dice_loss(*one, smooth=0.5))
    of_two = gd.dice_loss(*two, **left_out, reduction="none")
    assert of_two.shape == (*IMAGE.shape[:1], 1)
    for n, found in ((one, gd.dice_loss(*one, smooth=0.5)), (two, of_two)):
        generalized = gd.multiclass_generalized_dice_loss(*n, **left_out)
        np.testing.assert_allclose(generalized, np.mean(found), rtol=1e-6)


def test_a_region_of_one_pixel_weighs_the_most():
    t = np.zeros((1, 3, 3, 2))
    t[0, 0, 0, 0], t[0, 1:, :, 1] = 1, 1
    p = RNG.random(t.shape)
    w, both, total = 1 / np.array([1, 6]) ** 2, (p * t).sum((1, 2))[0], (p + t).sum((1, 2))[0]
    found = gd.multiclass_generalized_dice_loss(p, t, smooth=0.0, apply_softmax=False)
    np.testing.assert_allclose(found, 1 - 2 * (w @ both) / (w @ total), rtol=1e-5)


def test_an_image_two_pixels_wide_has_one_class():
    x, t = RNG.standard_normal((2, 3, 2)), RNG.random((2, 3, 2)) < 0.5
    whole = gd.binary_dice_loss(x.reshape(2, 6, 1), t.reshape(2, 6, 1))
    np.testing.assert_allclose(gd.binary_dice_loss(x, t), whole, rtol=1e-6)


@pytest.mark.parametrize("label", [0, 7, 99])
def test_labels_that_are_padding_do_not_count(label):
    x, pads = RNG.standard_normal((1, 5, 3)), np.zeros((1, 5))
    padded = gd.ctc_loss(x, pads, np.array([[1, 2, label]]), np.array([[0, 0, 1]]))
    alone = gd.ctc_loss(x, pads, np.array([[1, 2]]), np.zeros((1, 2)))
    np.testing.assert_allclose(padded, alone, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_dice_loss_of_some_axes_is_reduced_over_classes(reduction):
    each = gd.dice_loss(IMAGE, MASK, axis=1, reduction="none")
    found = gd.dice_loss(IMAGE, MASK, axis=1, reduction=reduction)
    assert each.shape == (len(IMAGE), IMAGE.shape[2], IMAGE.shape[3])
    np.testing.assert_allclose(found, getattr(np, reduction)(each, axis=2), rtol=1e-6)
