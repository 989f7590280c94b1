"""Losses at extremes: large and tiny numbers, probabilities of zero, impossible labels, 16 bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.helpers import first
from tests.losses.inputs import IMAGE, MASK

# All sums of five of them are finite.
BIG = {"float32": 3e37, "bfloat16": 3e37, "float16": 6e3}
TINY = {"float32": 1e-30, "bfloat16": 1e-30, "float16": 2e-3}
FIVE = np.array([0.2, 0.0, 0.8, 0.0, 0.0], np.float32)
ONE = np.array([2], np.int32)

# loss of x [1, 5] alone, everything else given; finite at all of EXTREMES, and so is its gradient
ALONE = {
    "huber_loss": lambda x: gd.huber_loss(x),
    "log_cosh": lambda x: gd.log_cosh(x),
    "cosine_similarity": lambda x: gd.cosine_similarity(x, FIVE),
    "cosine_distance": lambda x: gd.cosine_distance(x, 0 * FIVE),
    "cosine_similarity_of_itself": lambda x: gd.cosine_similarity(x, x),
    "cosine_with_epsilon": lambda x: gd.cosine_similarity(x, FIVE, epsilon=1e-3),
    "sigmoid_binary_cross_entropy": lambda x: gd.sigmoid_binary_cross_entropy(x, FIVE),
    "sigmoid_focal_loss": lambda x: gd.sigmoid_focal_loss(x, FIVE),
    "sigmoid_focal_loss_gamma": lambda x: gd.sigmoid_focal_loss(x, FIVE > 0, gamma=0.5, alpha=0.1),
    "hinge_loss": lambda x: gd.hinge_loss(x, FIVE),
    "perceptron_loss": lambda x: gd.perceptron_loss(x, FIVE),
    "sparsemax_loss": lambda x: gd.sparsemax_loss(x, FIVE > 0),
    "softmax_cross_entropy": lambda x: gd.softmax_cross_entropy(x, FIVE),
    "softmax_cross_entropy_masked": lambda x: gd.softmax_cross_entropy(x, FIVE, where=FIVE > 2),
    "safe_softmax_cross_entropy": lambda x: gd.safe_softmax_cross_entropy(x, FIVE),
    "integer": lambda x: gd.softmax_cross_entropy_with_integer_labels(x, ONE),
    "integer_masked": lambda x: gd.softmax_cross_entropy_with_integer_labels(
        x, ONE - 9, where=np.array([False])
    ),
    "poly_loss_cross_entropy": lambda x: gd.poly_loss_cross_entropy(x, FIVE),
    "ranking_softmax_loss": lambda x: gd.ranking_softmax_loss(x, FIVE),
    "ranking_nothing": lambda x: gd.ranking_softmax_loss(x, FIVE, where=FIVE > 2),
    "multiclass_hinge_loss": lambda x: gd.multiclass_hinge_loss(x, ONE),
    "multiclass_perceptron_loss": lambda x: gd.multiclass_perceptron_loss(x, ONE),
    "multiclass_sparsemax_loss": lambda x: gd.multiclass_sparsemax_loss(x, ONE),
    "ntxent": lambda x: gd.ntxent(jnp.concatenate([x, -x, x]), np.array([0, 1, 0])),
    "ntxent_without_pairs": lambda x: gd.ntxent(x, ONE),
    "triplet_margin_loss": lambda x: gd.triplet_margin_loss(x, -x, FIVE),
    "triplet_eps_0": lambda x: gd.triplet_margin_loss(x, x, FIVE, eps=0.0),
    "dice_loss": lambda x: gd.dice_loss(x[..., None], FIVE[None, :, None]),
    "dice_smooth_0": lambda x: gd.dice_loss(x, 0 * FIVE[None], smooth=0.0),
    "binary_dice_loss": lambda x: gd.binary_dice_loss(x, FIVE[None]),
    "multiclass_generalized_dice_loss": lambda x: gd.multiclass_generalized_dice_loss(
        x[:, None], FIVE[None, None], smooth=0.0
    ),
    "ctc_loss": lambda x: gd.ctc_loss(
        jnp.stack([x, x, x], 1), np.zeros((1, 3)), ONE[None], np.zeros((1, 1))
    ),
    "ctc_that_does_not_fit": lambda x: gd.ctc_loss(
        x[:, None], np.zeros((1, 1)), np.array([[1, 2]]), np.zeros((1, 2))
    ),
}

EXTREMES = {
    "zero": np.zeros(5),
    "equal": np.full(5, -0.5),
    "ones": np.array([1.0, -1, 1, -1, 0]),
    "tiny": np.array([1.0, -1, 0, 1, 0]),
    "large": np.array([1.0, -1, 0, 0.5, -1]),
    "large_alike": np.array([1.0, 1, 1, 1, 1]),
}


@pytest.mark.parametrize("dtype", first(1, BIG))
@pytest.mark.parametrize("name", ALONE)
def test_finite_at_extremes(name, dtype):
    step = jax.jit(jax.value_and_grad(lambda x: jnp.sum(ALONE[name](x))))
    sizes = {"tiny": TINY[dtype], "large": BIG[dtype], "large_alike": BIG[dtype]}
    for extreme, x in EXTREMES.items():
        x = jnp.asarray(x * sizes.get(extreme, 1), dtype)[None]
        value, gradient = step(x)
        assert value.dtype == jnp.float32 and gradient.dtype == dtype
        assert jnp.isfinite(value), (extreme, value)
        assert jnp.isfinite(gradient).all(), (extreme, gradient)


NEVER = np.array([[-np.inf, 1.0, -np.inf, 2.0, 0.0]], np.float32)
HALF = np.array([[0.0, 0.5, 0.0, 0.5, 0.0]], np.float32)

# losses of logits of −∞, or of probabilities of 0, where the others decide
WITH_INFINITY = {
    "softmax_cross_entropy": lambda x, y: gd.softmax_cross_entropy(x, y),
    "safe_softmax_cross_entropy": lambda x, y: gd.safe_softmax_cross_entropy(x, y),
    "integer": lambda x, y: gd.softmax_cross_entropy_with_integer_labels(x, ONE + 1),
    "poly": lambda x, y: gd.poly_loss_cross_entropy(x, y),
    "ranking": lambda x, y: gd.ranking_softmax_loss(x, y),
    "sparsemax": lambda x, y: gd.multiclass_sparsemax_loss(x, ONE + 1),
    "bce": lambda x, y: gd.sigmoid_binary_cross_entropy(jnp.where(x < -100, x, 0.0), y),
    "focal": lambda x, y: gd.sigmoid_focal_loss(jnp.where(x < -100, x, 0.0), y),
    "kl_divergence": lambda x, y: gd.kl_divergence(x, y),
    "kl_divergence_with_log_targets": lambda x, y: gd.kl_divergence_with_log_targets(x, jnp.log(y)),
    "generalized_kl_divergence": lambda x, y: gd.generalized_kl_divergence(x, y),
    "dice": lambda x, y: gd.dice_loss(x[:, None], y[:, None]),
    "ctc": lambda x, y: gd.ctc_loss(
        jnp.stack([x, x, x], 1), jnp.zeros((1, 3)), ONE[None] + 1, jnp.zeros((1, 1)), blank_id=4
    ),
}


@pytest.mark.parametrize("name", WITH_INFINITY)
def test_zero_probabilities(name):
    loss = lambda x, y: jnp.sum(WITH_INFINITY[name](x, y))
    program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    value, gradients = program(NEVER, HALF)
    assert jnp.isfinite(value)
    assert all(jnp.isfinite(g).all() for g in (gradients if "log" not in name else gradients[:1]))
    finite = np.maximum(NEVER, -200.0)  # the limit is the value
    np.testing.assert_allclose(value, program(finite, HALF)[0], rtol=1e-5)


def test_impossible_labels_cost_infinity():
    x = jnp.array([[-jnp.inf, 0.0]])
    assert gd.softmax_cross_entropy(x, jnp.array([[1.0, 0.0]]))[0] == jnp.inf
    assert gd.softmax_cross_entropy_with_integer_labels(x, jnp.array([0]))[0] == jnp.inf
    assert gd.kl_divergence(x, jnp.array([[0.5, 0.5]]))[0] == jnp.inf


def test_labels_that_are_no_class_are_not_taken_for_one():
    x = jnp.zeros((4, 3))
    loss = gd.softmax_cross_entropy_with_integer_labels(x, jnp.array([-1, 3, -100, 2]))
    np.testing.assert_array_equal(jnp.isnan(loss), [True, True, True, False])


@pytest.mark.slow
def test_nan_is_told():
    x = jnp.array([[jnp.nan, 0.0, 1.0]])
    y = jnp.array([[0.0, 1.0, 0.0]])
    losses = (
        gd.softmax_cross_entropy(x, y),
        gd.sigmoid_binary_cross_entropy(x, y).sum(),
        gd.kl_divergence(x, y + 0.1),
        gd.log_cosh(x).sum(),
        gd.cosine_similarity(x, y),
        gd.multiclass_sparsemax_loss(x, ONE),
        gd.ctc_loss(x[:, None], jnp.zeros((1, 1)), jnp.ones((1, 1), int), jnp.zeros((1, 1))),
    )
    assert all(jnp.isnan(loss).all() for loss in losses)


@pytest.mark.slow
def test_log_cosh_is_exact_near_zero():
    x = jnp.array([1e-4, -1e-3, 0.999, 1.001, 20.0], jnp.float32)
    exact = np.log(np.cosh(np.float64(x)))
    np.testing.assert_allclose(gd.log_cosh(x), exact, rtol=3e-7)
    np.testing.assert_allclose(jax.vmap(jax.grad(gd.log_cosh))(x), np.tanh(x), rtol=3e-7)


def test_sixteen_bits_are_summed_in_thirty_two():
    """A cross entropy over 4096 classes, which bfloat16 sums would miss by a third."""
    x = jnp.zeros((1, 4096), jnp.bfloat16)
    loss = gd.softmax_cross_entropy_with_integer_labels(x, jnp.array([7]))
    np.testing.assert_allclose(loss, np.log(4096), rtol=1e-6)
    same = gd.softmax_cross_entropy(x, jax.nn.one_hot(jnp.array([7]), 4096, dtype=jnp.bfloat16))
    np.testing.assert_allclose(same, loss, rtol=1e-6)


def test_ctc_of_long_sequences():
    """Paths less likely than e^(−100 000) are not mistaken for impossible ones."""
    frames = np.zeros((1, 6, 3), np.float32)
    frames[:, :, 0] = 1e6  # the blank all but certain, three labels to come
    given = frames, np.zeros((1, 6)), np.array([[1, 2, 1]]), np.zeros((1, 3))
    np.testing.assert_allclose(gd.ctc_loss(*given), 3e6, rtol=1e-5)


def test_ctc_without_room_costs_log_epsilon():
    frames = jnp.zeros((1, 2, 3))
    given = frames, jnp.zeros((1, 2)), jnp.array([[1, 1]]), jnp.zeros((1, 2))
    assert gd.ctc_loss(*given)[0] == 1e5
    assert gd.ctc_loss(*given, log_epsilon=-7.0)[0] == 7.0


def test_smoothing_leaves_out_what_the_mask_does():
    y = jnp.array([[1.0, 0.0, 0.0]])
    smooth = gd.smooth_labels(y, 0.2, where=jnp.array([[True, True, False]]))
    np.testing.assert_allclose(smooth, [[0.9, 0.1, 0.0]], rtol=1e-6)


def test_generalized_dice_of_absent_classes():
    mask = np.array(MASK)
    mask[..., 1] += mask[..., 2]
    mask[..., 2] = 0
    image = jnp.asarray(IMAGE)
    loss = gd.multiclass_generalized_dice_loss(image, mask)
    assert 0 < loss < 1
    some = gd.multiclass_generalized_dice_loss(image, MASK, ignore_background=True)
    alone = gd.multiclass_generalized_dice_loss(
        jax.nn.softmax(image)[..., 1:], MASK[..., 1:], apply_softmax=False
    )
    np.testing.assert_allclose(some, alone)


def test_probabilities_of_one_class_are_taken_as_they_are():
    p = jax.nn.sigmoid(IMAGE[..., 0])
    loss = gd.binary_dice_loss(p, MASK[..., 0], apply_sigmoid=False)
    np.testing.assert_allclose(loss, gd.binary_dice_loss(IMAGE[..., 0], MASK[..., 0]), rtol=1e-6)


def test_the_cross_entropy_has_its_derivatives_at_zero():
    """At x = 0, where a model whose last layer is zero begins: σ(x) − y and σ(x)(1 − σ(x))."""
    x, y = jnp.array([0.0, -0.0, 0.0, 1e-6]), jnp.array([0.0, 0.25, 1.0, 0.5])
    for loss in (
        gd.sigmoid_binary_cross_entropy,
        lambda *xy: gd.sigmoid_focal_loss(*xy, gamma=0.0),
    ):
        slope = jax.vmap(jax.grad(loss))
        slopes, bends = jax.jvp(lambda x, f=slope: f(x, y), (x,), (jnp.ones(4),))
        np.testing.assert_allclose(slopes, 0.5 - y, atol=1e-5)
        np.testing.assert_allclose(bends, np.full(4, 0.25), atol=1e-5)
