"""`by_bias_or_norm` over the parameters of real modules, and what it is for: decay."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax as gd
from gdjax.core.rule import tree


def flax_nnx():
    nnx = pytest.importorskip("flax.nnx")

    rngs = nnx.Rngs(0)
    model = nnx.Dict(
        att=nnx.MultiHeadAttention(2, 8, normalize_qk=True, decode=False, rngs=rngs),
        ln=nnx.LayerNorm(8, rngs=rngs),
        second=nnx.BatchNorm(8, rngs=rngs),
        rms=nnx.RMSNorm(8, rngs=rngs),
        embed=nnx.Embed(5, 8, rngs=rngs),
        conv=nnx.Conv(2, 3, (3, 3), rngs=rngs),
        gru=nnx.GRUCell(2, 3, rngs=rngs),
        lora=nnx.LoRA(8, 2, 8, rngs=rngs),
        blocks=nnx.vmap(lambda key: nnx.LayerNorm(8, rngs=nnx.Rngs(key)))(
            jax.random.split(jax.random.key(0), 3)
        ),
        weight_norm=nnx.WeightNorm(nnx.Linear(2, 3, rngs=rngs), rngs=rngs),
    )
    weights = {f"att/{name}/kernel" for name in ("query", "key", "value", "out")}
    weights |= {"embed/embedding", "conv/kernel", "gru/dense_h/kernel", "gru/dense_i/kernel"}
    weights |= {"lora/lora_a", "lora/lora_b", "weight_norm/layer_instance/kernel"}
    return nnx.state(model, nnx.Param), {f"{name}/value" for name in weights}


def flax_linen():
    nn = pytest.importorskip("flax.linen")

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            x = nn.MultiHeadDotProductAttention(2, normalize_qk=True)(nn.LayerNorm()(x))
            return nn.DenseGeneral((8,))(nn.RMSNorm(name="ln_2")(x)), None

    class Model(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            x = nn.BatchNorm(use_running_average=True)(nn.Embed(5, 8)(tokens))
            stacked = nn.scan(Block, {"params": 0}, split_rngs={"params": True}, length=3)
            x, _ = stacked(name="blocks")(x, None)
            return nn.WeightNorm(nn.Dense(8))(nn.GroupNorm(2)(x))

    params = jax.eval_shape(Model().init, jax.random.key(0), jnp.ones((1, 4), int))["params"]
    att = "blocks/MultiHeadDotProductAttention_0"
    weights = {f"{att}/{name}/kernel" for name in ("query", "key", "value", "out")}
    return params, weights | {"blocks/DenseGeneral_0/kernel", "Embed_0/embedding", "Dense_0/kernel"}


def equinox():
    eqx = pytest.importorskip("equinox")

    key = jax.random.key(0)
    model = {
        "att": eqx.nn.MultiheadAttention(2, 8, use_query_bias=True, key=key),
        "norms": [eqx.nn.LayerNorm((2, 4)), eqx.nn.RMSNorm((2, 4))],
        "layer_norm": eqx.nn.LayerNorm((2, 4)),
        "ln1": eqx.nn.LayerNorm((2, 4)),
        "anything": eqx.nn.GroupNorm(2, 8),
        "embed": eqx.nn.Embedding(5, 8, key=key),
        "gru": eqx.nn.GRUCell(2, 3, key=key),
        "conv": eqx.nn.Conv2d(2, 3, 3, key=key),
        "mlp": eqx.nn.MLP(2, 2, 2, 1, key=key),
        "weight_norm": eqx.nn.WeightNorm(eqx.nn.Linear(2, 3, key=key)),
    }
    weights = {f"att/{name}_proj/weight" for name in ("query", "key", "value", "output")}
    weights |= {"embed/weight", "gru/weight_ih", "gru/weight_hh", "conv/weight"}
    weights |= {"mlp/layers/0/weight", "mlp/layers/1/weight", "weight_norm/layer/weight"}
    return eqx.filter(model, eqx.is_inexact_array), weights


def by_hand():
    """Names of Haiku, of Keras, of torch, of one's own."""
    m, v = jnp.ones((3, 4)), jnp.ones(4)
    params = {
        "transformer/~/layer_norm": {"scale": m, "offset": m},
        "transformer/~/linear": {"w": m, "b": m},
        "batch_normalization": {"gamma": m, "beta": m},
        "input_layernorm": {"weight": m},
        "lstm": {"weight_ih_l0": m, "bias_ih_l0": m},
        "relative_position_bias_table": m,
        "relative_attention_bias": {"weight": m},
        "ln_f": {"w": m, "b": m},
        "norm1": {"g": m},
        "q_norm": {"weight": m},
        "normal": {"weight": m},
        "unbiased": m,
        "cls_token": v,
        "temperature": 1.0,
        "pos_embed": m,
        "gone": None,
    }
    weights = {"transformer/~/linear/w", "lstm/weight_ih_l0", "normal/weight", "unbiased"}
    return params, weights | {"relative_attention_bias/weight", "pos_embed"}


@pytest.mark.parametrize("case", [flax_nnx, flax_linen, equinox, by_hand])
def test_what_decays(case):
    params, weights = case()
    flags = gd.select(params, ~gd.by_bias_or_norm())
    found = {path for path, flag in zip(tree.paths(flags), jax.tree.leaves(flags)) if flag}
    assert found == weights
    opposite = jax.tree.leaves(gd.by_bias_or_norm()(params))
    assert opposite == [not flag for flag in jax.tree.leaves(flags)] and any(opposite)


def test_a_bare_array_has_no_name():
    assert gd.select(jnp.ones(3), gd.by_bias_or_norm()) is True
    assert gd.select(jnp.ones((3, 2)), gd.by_bias_or_norm()) is False


ATTENTION = {"query": {"kernel": jnp.ones((4, 2, 2)), "bias": jnp.ones((2, 2))}, "ln": jnp.ones(4)}
DECAY = gd.adamw(0.5, weight_decay=0.5)


@pytest.mark.parametrize(
    "tx",
    [
        DECAY.replace(mask=~gd.by_bias_or_norm()),
        gd.groups(DECAY, (gd.by_bias_or_norm(), dict(weight_decay=0.0))),
    ],
    ids=["mask", "groups"],
)
def test_as_a_mask_and_as_a_group(tx):
    zeros = jax.tree.map(jnp.zeros_like, ATTENTION)
    after, _ = tx.step(zeros, tx.init(ATTENTION), ATTENTION)
    expected = {"query": {"kernel": 0.75, "bias": 1.0}, "ln": 1.0}
    assert jax.tree.map(lambda x: np.unique(x).tolist(), after) == jax.tree.map(
        lambda x: [x], expected
    )
    assert gd.build(json.loads(json.dumps(gd.spec(tx)))) == tx


@pytest.mark.parametrize("name", ["no_decay", "no_weight_decay"])
def test_the_usual_name_is_answered_with_the_mask(name):
    with pytest.raises(AttributeError, match=r"mask=~gd\.by_bias_or_norm\(\)"):
        getattr(gd, name)
