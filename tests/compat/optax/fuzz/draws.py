"""Random values of arguments, as text: numbers, schedules, masks, transformations inside.

A call is drawn by two generators. One draws its structure: which arguments are given, flags,
dtypes, schedules, what stands inside. The other draws its numbers, which are `N[0]`, `N[1]`, ... in
the text, so that calls of one structure share one compiled program.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

__all__ = ["KINDS", "Draw"]


class Draw:
    """The two generators, the tree of parameters, and the numbers drawn so far."""

    def __init__(self, structure: str, numbers: str) -> None:
        self.structure, self.values = random.Random(structure), random.Random(numbers)
        self.numbers: list[float] = []
        self.depth = 0

    def pick(self, *options):
        return self.structure.choice(options)

    def chance(self, share: float) -> bool:
        return self.structure.random() < share

    def number(self, low: float, high: float, edges: tuple = (), log: bool = True) -> str:
        """A number in [low, high], or in one of four cases an edge."""
        edge = self.values.random() < 0.25
        x, y = self.values.random(), self.values.random()
        if edge and edges:
            value = edges[int(y * len(edges))]
        else:
            value = (
                math.exp(math.log(low) + x * math.log(high / low))
                if log
                else low + x * (high - low)
            )
        self.numbers.append(float(f"{value:.6g}"))
        return f"N[{len(self.numbers) - 1}]"

    def of(self, kind: str) -> str:
        """A value of a kind of `KINDS`; of one of several, where they are separated by `|`."""
        found = self.pick(*kind.split("|"))
        return KINDS[found](self) if found in KINDS else found

    def injected(self) -> tuple[str, str]:
        """Arguments of `inject_hyperparams`, and those of the factory that it makes."""
        return _injected(self)


# Numbers: a range, and edges where factories have branches or denominators.
def _rate(d):
    return d.number(1e-3, 1.0, (0.0, 1.0, -0.1, 1e-8))


def _decay(d):
    # no nearer to one, where the rounding of 1 − b alone makes an error of more than 1e-13
    return d.number(0.0, 0.999, (0.0, 0.5, 0.9, 0.999), log=False)


def _eps(d):
    return d.number(1e-12, 1e-1, (0.0, 1e-30, 1.0))


def _weight(d):
    return d.number(1e-4, 0.5, (0.0, 0.1, 1.0, -0.01))


def _positive(d):
    return d.number(1e-2, 10.0, (1.0, 1e-6))


def _factor(d):
    return d.number(1e-2, 3.0, (0.0, 1.0, 0.5, -1.0))


def _unit(d):
    return d.number(0.0, 1.0, (0.0, 0.5, 1.0), log=False)


def _schedule(d):
    return d.pick(
        lambda: f"o.exponential_decay({_rate(d)}, {d.pick(1, 3, 5)}, {d.number(0.3, 0.99)})",
        lambda: f"o.linear_schedule({_rate(d)}, {_rate(d)}, {d.pick(1, 7, 15)})",
        lambda: f"o.cosine_decay_schedule({_rate(d)}, {d.pick(5, 12, 30)})",
        lambda: f"o.warmup_cosine_decay_schedule(0.0, {_rate(d)}, {d.pick(1, 4)}, {d.pick(9, 16)})",
        lambda: f"o.piecewise_constant_schedule({_rate(d)}, {{{d.pick(2, 5)}: 0.5, 9: 0.1}})",
        *(
            lambda: f"lambda t: {_rate(d)} / (1 + t)",
            lambda: f"lambda t: jnp.where(t < {d.pick(1, 4, 9)}, {_rate(d)}, {_rate(d)})",
        )
        * 3,
    )()


def _inner(d):
    """A transformation; wrappers down to a depth of two."""
    d.depth += 1
    simple = (
        lambda: f"o.sgd({_rate(d)}, {_decay(d)})",
        lambda: f"o.sgd({_schedule(d)})",
        lambda: f"o.adam({_rate(d)}, b2={_decay(d)})",
        lambda: f"o.adamw({_rate(d)}, weight_decay={_weight(d)})",
        lambda: f"o.rmsprop({_rate(d)}, momentum={_decay(d)})",
        lambda: f"o.lion({_rate(d)}, weight_decay={_weight(d)})",
        lambda: f"o.trace({_decay(d)}, nesterov={d.pick(True, False)})",
        lambda: f"o.scale({_factor(d)})",
    )
    deep = (
        lambda: f"o.chain({_inner(d)}, {_inner(d)})",
        lambda: f"o.chain(o.clip_by_global_norm({_positive(d)}), {_inner(d)})",
        lambda: f"o.masked({_inner(d)}, MASK)",
        lambda: f"o.apply_if_finite({_inner(d)}, {d.pick(0, 2, 5)})",
        lambda: f"o.inject_hyperparams(o.adam)({_rate(d)}, b1={_decay(d)})",
        lambda: f"o.conditionally_transform({_inner(d)}, {d.of('condition')})",
        lambda: f"o.flatten({_inner(d)})",
        lambda: f"o.MultiSteps({_inner(d)}, {d.pick(2, 3)}).gradient_transformation()",
        lambda: f"o.partition({{1: {_inner(d)}, 2: {_inner(d)}}}, LABELS)",
    )
    text = d.pick(*(simple + deep if d.depth < 3 else simple))()
    d.depth -= 1
    return text


def _injected(d):
    """A factory to inject the hyperparameters of, and the arguments of what is made."""
    name, *arguments = d.pick(
        ("sgd", ("learning_rate", "rate|schedule"), ("momentum", "decay|schedule")),
        ("adam", ("learning_rate", "rate|schedule"), ("b1", "decay"), ("eps", "eps")),
        (
            "adamw",
            ("learning_rate", "rate|schedule"),
            ("weight_decay", "weight|schedule"),
            ("mask", "mask"),
        ),
        ("rmsprop", ("learning_rate", "rate|schedule"), ("decay", "decay"), ("centered", "flag")),
        ("lion", ("learning_rate", "rate"), ("b2", "decay|schedule")),
        ("novograd", ("learning_rate", "rate|schedule"), ("eps", "eps")),
        ("add_decayed_weights", ("weight_decay", "weight|schedule"), ("mask", "mask")),
        ("scale_by_adam", ("b1", "decay|schedule"), ("eps_root", "eps")),
        ("clip_by_global_norm", ("max_norm", "positive|schedule")),
        ("adafactor", ("learning_rate", "rate|schedule"), ("momentum", "decay|None")),
    )
    given = [
        f"{argument}={d.of(kind)}"
        for argument, kind in arguments
        if d.chance(0.8) or argument in ("learning_rate", "max_norm")
    ]
    static = ["min_dim_size_to_factor"] if name == "adafactor" else []
    static += [
        argument for argument, _ in arguments if d.chance(0.15) and argument != "learning_rate"
    ]
    more = f", static_args={tuple(static)!r}" if static else ""
    return f"o.{name}{more}", ", ".join(given)


MASKS = (
    "None",
    "MASK",
    "lambda p: MASK",
    "lambda p: jax.tree.map(lambda x: x.ndim > 1, p)",
    "True",
    "False",
)
SCHEDULED = "rate|rate|rate|schedule"

KINDS: dict[str, Callable[[Draw], str]] = {
    "rate": _rate,
    "decay": _decay,
    "eps": _eps,
    "weight": _weight,
    "positive": _positive,
    "factor": _factor,
    "unit": _unit,
    "schedule": _schedule,
    "scheduled": lambda d: d.of(SCHEDULED),
    "weights": lambda d: d.of("weight|weight|weight|schedule"),
    "inner": _inner,
    "flag": lambda d: d.pick("True", "False"),
    "mask": lambda d: d.pick(*MASKS),
    "dtype": lambda d: d.pick(
        "None", "None", "jnp.float32", "jnp.bfloat16", "'float32'", "jnp.float64"
    ),
    "steps": lambda d: d.pick("1", "2", "3", "7", "30"),
    "count": lambda d: d.pick("0", "1", "2", "5"),
    "condition": lambda d: d.pick(
        "lambda step, **extra: step % 2 == 0",
        "lambda step, **extra: step < 4",
        "lambda step, **extra: step != 0",
    ),
    "measure": lambda d: d.pick(
        "o.global_norm", "lambda u: o.global_norm(u) > 1.0", "o.tree.max", "o.tree.sum"
    ),
    "both": lambda d: f"{{1: {_inner(d)}, 2: {_inner(d)}}}",
    "schedules": lambda d: (
        f"[{', '.join(_schedule(d) for _ in range(d.pick(1, 2, 3)))}], "
        f"{d.pick('[4]', '[3, 9]', '[]')}"
    ),
    "cosine": lambda d: (
        f"dict(init_value={_rate(d)}, peak_value={_rate(d)}, warmup_steps={d.pick(0, 2)}, "
        f"decay_steps={d.pick(5, 8)})"
    ),
    "pair": lambda d: f"({_decay(d)}, {_decay(d)})",
}
