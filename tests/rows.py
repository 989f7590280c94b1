"""One row of data for each factory: what the contract and the references run on."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

import gdjax as gd
from gdjax.contract import Subject


@dataclasses.dataclass(frozen=True)
class Row:
    """A transformation and what the contract has to know of it."""

    tx: Any
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    descends: bool = True
    label: str = ""

    @property
    def subject(self) -> Subject:
        return Subject(self.tx, self.extra, self.descends)

    def __str__(self) -> str:
        return self.label or self.tx.name


def sign(updates: Any, params: Any) -> Any:
    """The function of the `stateless` row: it has a name, so it pickles."""
    from gdjax.core import tree

    return tree.map(jnp.sign, updates)


ROWS = [
    # optimizers
    Row(gd.sgd(0.1)),
    Row(gd.sgd(0.05, momentum=0.9), label="sgd-momentum"),
    Row(gd.sgd(0.05, 0.9, nesterov=True), label="sgd-nesterov"),
    Row(gd.momentum(0.1, decay=0.8)),
    Row(gd.adagrad(0.1, 0.1)),
    Row(gd.rmsprop(0.05)),
    Row(gd.rmsprop(0.01, 0.9, centered=True, momentum=0.5), label="rmsprop-centered"),
    Row(gd.adam(0.1, b1=0.8)),
    Row(gd.adam(0.1, mu_dtype=jnp.bfloat16), label="adam-bfloat16"),
    Row(gd.adamw(0.1, b2=0.99, weight_decay=0.01)),
    # transformations
    Row(gd.identity()),
    Row(gd.set_to_zero(), descends=False),
    Row(gd.stateless(sign)),
    Row(gd.scale(-0.1)),
    Row(gd.scale_by_learning_rate(0.1)),
    Row(gd.scale_by_schedule(gd.exponential_decay(-0.1, 10, 0.5))),
    Row(gd.trace(0.9)),
    Row(gd.trace(0.9, nesterov=True), label="trace-nesterov"),
    Row(gd.ema(0.9)),
    Row(gd.ema(0.9, debias=False), label="ema-biased"),
    Row(gd.scale_by_rss(0.1)),
    Row(gd.scale_by_rms(0.9)),
    Row(gd.scale_by_rms(0.9, bias_correction=True, eps_in_sqrt=True), label="scale_by_rms-debias"),
    Row(gd.scale_by_stddev(0.9)),
    Row(gd.scale_by_adam(0.9, 0.99)),
    Row(gd.add_decayed_weights(0.1)),
    Row(gd.decay_weights(0.1)),
    Row(gd.clip(0.5)),
    Row(gd.clip_by_global_norm(0.5)),
    # compositions
    Row(gd.chain(gd.clip(1.0), gd.sgd(0.1))),
    Row(
        gd.chain(clip=gd.clip_by_global_norm(1.0), opt=gd.adamw(0.1, weight_decay=0.1)),
        label="chain-named",
    ),
    Row(gd.chain(gd.add_decayed_weights(0.1), gd.adam(0.1)), label="chain-l2"),
    Row(gd.chain(), label="chain-empty"),
]
