"""QK-Clip and MuonClip."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from tests.cases import Row
from tests.helpers import run, wave
from tests.optimizers.matrix.test_muon import mean_gradient, orthogonal
from tests.references import Agree, halving, recorded, rule
from tests.transcription import adamw_of_tensor, at, by_tensor

ROWS = [
    # It stands behind the rate: what comes in is added to the parameters, not taken off.
    Row(gd.qk_clip(1.0, "matrices"), extra={"max_logits": jnp.asarray(2.0)}, descends=False),
    Row(gd.muon_clip(0.05, 1.0, key="matrices"), extra={"max_logits": jnp.asarray(1.1)}),
]


def qk_clipped(
    gradient,
    theta0,
    steps,
    *,
    eta,
    threshold,
    logits,
    share=0.5,
    beta=None,
    eps=1e-8,
    lam=0.0,
    rms=0.2,
    adam=None,
):
    """QK-Clip (Kimi K2 2025, algorithm 1) of w, three heads [2, 1], behind descent or Muon.

    `logits` makes the heads' greatest logits of the weights before the step, [3].
    """
    mean = None if beta is None else mean_gradient(beta, nesterov=False)

    def rule(w, g, t):
        if mean is None:
            moved = w - at(eta, t) * g
        else:
            u = rms * np.sqrt(max(w.shape)) * orthogonal(mean(g, t), eps)
            moved = w - at(eta, t) * (u + lam * w)
        return moved * np.minimum(1, threshold / logits(w)) ** share

    other = adamw_of_tensor(*adam) if adam else lambda w, g, t: w - at(eta, t) * g
    return by_tensor(gradient, theta0, steps, w=rule, b=other)


def logits(w):
    """Something for three heads [2, 1] that grows as their weights do."""
    return 40 * (w**2).sum(0)


def seen(params, grads, t):
    return {"max_logits": {"w": logits(params["w"])}}


def clip(*arguments, **keywords):
    return gd.chain(gd.sgd(0.3), gd.qk_clip(*arguments, **keywords, matrix_axes="in (3 out)"))


def clipped(**arguments):
    return rule(qk_clipped, threshold=10.0, logits=logits, **arguments)


ADAM = {
    "adam_b1": 0.8,
    "adam_b2": 0.99,
    "adam_weight_decay": 0.1,
    "adam_learning_rate": 0.02,
}


clipping = {"head_axes": "in (3 out)", "b1": 0.9, "eps": 0.0, "weight_decay": 0.1} | ADAM

AGREE = {
    "numpy-qk_clip-query": Agree(clip(10.0, query="w"), clipped(eta=0.3), extra=seen),
    "numpy-qk_clip-key": Agree(clip(10.0, key="w"), clipped(eta=0.3), extra=seen),
    "numpy-qk_clip-alone": Agree(
        clip(10.0, query_alone="w"), clipped(eta=0.3, share=1.0), extra=seen
    ),
    "numpy-muon_clip": Agree(
        gd.muon_clip(halving(0.2), 10.0, "w", head_axes="in (3 out)"),
        clipped(eta=halving(0.2), beta=0.95, lam=0.1, adam=(halving(0.2),)),
        extra=seen,
    ),
    "numpy-muon_clip-all": Agree(
        gd.muon_clip(
            0.05,
            10.0,
            None,
            "w",
            None,
            0.8,
            1e-3,
            0.2,
            consistent_rms=0.3,
            adam_b1=0.8,
            adam_b2=0.99,
            adam_weight_decay=0.1,
            adam_learning_rate=0.02,
            head_axes="in (3 out)",
        ),
        clipped(
            eta=0.05,
            beta=0.8,
            eps=1e-3,
            lam=0.2,
            rms=0.3,
            adam=(0.02, 0.8, 0.99, 1e-3, 0.1),
        ),
        extra=seen,
    ),
    # The package forms the factors in float32.
    "pytorch_optimizer-muon_clip_query": Agree(
        gd.muon_clip(0.05, 10.0, "w", **clipping),
        recorded("muon_kin", "pytorch_optimizer/muon_clip_query"),
        1e-6,
        extra=seen,
    ),
    "pytorch_optimizer-muon_clip_key": Agree(
        gd.muon_clip(0.05, 10.0, key="w", **clipping),
        recorded("muon_kin", "pytorch_optimizer/muon_clip_key"),
        1e-6,
        extra=seen,
    ),
    "pytorch_optimizer-muon_clip_query_rotary": Agree(
        gd.muon_clip(0.05, 10.0, query_alone="w", **clipping),
        recorded("muon_kin", "pytorch_optimizer/muon_clip_query_rotary"),
        1e-6,
        extra=seen,
    ),
}

# Defaults that the optimizer has and its parts have not.
ITS_OWN = {("muon_clip", "consistent_rms"), ("muon_clip", "weight_decay")}


def test_max_logits_may_stand_for_what_is_below():
    params = {"one": {"q": jnp.ones((2, 4)), "v": jnp.ones((2, 4))}, "two": {"q": jnp.ones((2, 4))}}
    tx = gd.chain(gd.sgd(0.0), gd.qk_clip(1.0, query_alone=".*/q", matrix_axes="in (2 out)"))
    logits = {"one": jnp.array([2.0, 0.5]), "two": jnp.array(4.0)}
    end = run(tx, wave, params, 1, max_logits=logits).params
    np.testing.assert_array_equal(end["one"]["q"], [[0.5, 0.5, 1, 1]] * 2)
    np.testing.assert_array_equal(end["one"]["v"], params["one"]["v"])
    np.testing.assert_array_equal(end["two"]["q"], params["two"]["q"] / 4)


def test_qk_clip_of_one_head():
    """Without axes the whole array is one; it is the weight after the step that shrinks."""
    params, grads = {"q": jnp.ones((2, 4))}, {"q": jnp.full((2, 4), 2.0)}
    tx = gd.chain(gd.sgd(0.25), gd.qk_clip(1.0, query_alone="q"))
    for logit, factor in ((4.0, 0.25), (0.5, 1.0)):
        u, _ = tx.update(grads, tx.init(params), params, max_logits={"q": jnp.asarray(logit)})
        np.testing.assert_array_equal(params["q"] + u["q"], np.full((2, 4), 0.5 * factor))


def test_qk_clip_tells_what_is_missing():
    params = {"q": jnp.ones((2, 4)), "k": jnp.ones((2, 4))}
    tx = gd.qk_clip(1.0, "q", "k", matrix_axes="in (2 out)")
    state = tx.init(params)
    with pytest.raises(ValueError, match="an entry for 'k'"):
        tx.update(params, state, params, max_logits={"q": jnp.ones(2)})
    with pytest.raises(ValueError, match=r"heads of 'k', \(2,\), got shape \(3,\)"):
        tx.update(params, state, params, max_logits=jnp.ones(3))
