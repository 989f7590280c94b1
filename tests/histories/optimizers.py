"""Random optimizers as text: chains of stages, and wrappers around wrappers."""

from __future__ import annotations

import functools
import random
from typing import Any

import gdjax as gd
from gdjax.core.data import recipe

BASES = [
    "gd.sgd(0.1)",
    "gd.sgd(0.1, 0.9)",
    "gd.adam(0.05)",
    "gd.adamw(0.05, weight_decay=0.1)",
    "gd.adam(gd.live(0.05))",
    "gd.adamw(gd.linear_to_zero(0.05, 200))",
    "gd.sgd(gd.warmup_cosine_decay_schedule(0.01, 0.1, 5, 50), 0.9, nesterov=True)",
    "gd.lion(0.01)",
    "gd.rmsprop(0.02, momentum=0.9)",
    "gd.adam(0.05, mu_dtype='bfloat16')",
    "gd.chain(gd.clip_by_global_norm(1.0), gd.adam(0.05))",
    "gd.chain(clip=gd.clip(0.5), opt=gd.chain(gd.trace(0.9), gd.scale(-0.05)))",
    "gd.chain(gd.add_noise(0.1, 0.5, key=3), gd.trace(0.9), gd.trace(0.5), gd.scale(-0.05))",
]
STAGES = [
    "gd.clip(0.7)",
    "gd.clip_by_global_norm(1.0)",
    "gd.centralize()",
    "gd.add_decayed_weights(0.01)",
    "gd.ema(0.9)",
    "gd.trace(0.5)",
    "gd.zero_nans()",
    "gd.normalize()",
    "gd.scale(gd.live(0.5))",
    "gd.scale_by_schedule(gd.linear_schedule(1.0, 0.5, 10))",
    "gd.adaptive_grad_clip(0.5)",
    "gd.apply_every(2)",
    "gd.monitor()",
    "gd.masked(gd.scale(0.5), 'matrices', outside='pass')",
    "gd.conditionally_transform(gd.clip(0.1), odd)",
]
# Wrappers that leave the parameters of a run as they are, and those that do not. Of gdjax/wrappers
# and of its folders every factory is in one of the two, which a test sees to.
BOOKKEEPING = [
    "gd.with_ema({}, 0.9)",
    "gd.with_ema({}, 0.8, debias=False)",
    "gd.with_swa({}, 2, 3)",
    "gd.with_polynomial_averaging({})",
    "gd.apply_if_finite({})",
    "gd.skip_spikes({}, loss=None, norm=1e6, window=8)",
    "gd.offload({}, min_size=1)",
    "gd.store({})",
]
WRAPPERS = [
    *BOOKKEEPING,
    "gd.accumulate({}, 2)",
    "gd.accumulate({}, 3)",
    "gd.accumulate({}, 1)",
    "gd.accumulate({}, gd.piecewise_constant_schedule(2, {{4: 1.5}}))",
    "gd.loss_scale({}, init_scale=4.0, growth_interval=3)",
    "gd.masked({}, 'matrices')",
    "gd.masked({}, True)",
    "gd.selective_transform({}, freeze_mask=gd.by_rank(at_most=0))",
    "gd.partition(gd.by_label(small=gd.by_rank(at_most=1), rest=True), small=gd.sgd(0.1), rest={})",
    "gd.partition(gd.by_label(big=gd.by_rank(2), rest=True), big={}, rest=gd.frozen)",
    "gd.groups({}, (gd.by_rank(at_most=1), 2.0))",
    "gd.groups({}, (gd.by_rank(at_most=0), gd.frozen))",
    "gd.conditionally_mask({}, odd)",
    "gd.with_master_weights({})",
    "gd.stochastic_rounding({}, 0)",
    "gd.compensated({})",
    "gd.with_split_weights({})",
    "gd.with_split_weights({}, 0)",
    "gd.store({}, '8bit', min_size=2)",
    "gd.store({}, 'bf16', min_size=1)",
    "gd.cautious({})",
    "gd.mars({})",
    "gd.mechanize({})",
    "gd.lookahead({}, 3, 0.5)",
    "gd.lookahead({}, 2, 0.5, reset_state=True)",
    "gd.schedule_free({}, 0.05)",
    "gd.generalized_primal_averaging({})",
    "gd.ema_nesterov({})",
    "gd.diloco({}, 3)",
    "gd.graft({}, gd.sgd(0.1))",
    "gd.flatten({})",
    "gd.split_real_and_imaginary({})",
    "gd.sam({}, gd.sgd(0.01))",
]


def odd(step: Any) -> Any:
    """Whether a step is the second, the fourth, ..., for `conditionally_mask`."""
    return step % 2 == 1


@functools.cache
def catalogue() -> tuple[str, ...]:
    """Every optimizer of gdjax that needs its learning rate alone, or nothing."""
    found = []
    for name, made in sorted(recipe.factories().items()):
        if made.kind == "optimizer" and made.module.startswith("gdjax."):
            for text in (f"gd.{name}(0.01)", f"gd.{name}()"):
                try:
                    tx = build_optimizer(text)
                except (TypeError, ValueError):
                    continue
                if not any(tx.extra_args.values()) and not tx.facts.per_example:
                    found.append(text)
                break
    return tuple(found)


def random_optimizer(rng: random.Random, whole_catalogue: bool = True) -> str:
    """The text of a base, perhaps behind stages, in up to three wrappers."""
    wide = whole_catalogue and rng.random() < 0.25
    text = rng.choice(catalogue() if wide else BASES)
    if rng.random() < 0.3:
        stages = rng.sample(STAGES, rng.randint(1, 2))
        if rng.random() < 0.3:
            named = [*(f"s{i}={stage}" for i, stage in enumerate(stages)), f"opt={text}"]
            text = f"gd.chain({', '.join(named)})"
        else:
            text = f"gd.chain({', '.join([*stages, text])})"
    for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3, 3])):
        text = rng.choice(WRAPPERS if rng.random() < 0.7 else BOOKKEEPING).format(text)
    return text


def build_optimizer(text: str) -> Any:
    return eval(text, {"gd": gd, "odd": odd})
