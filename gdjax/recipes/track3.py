"""The record of modded-nanogpt's third track: the fewest steps to a loss of 3.28."""

from __future__ import annotations

from typing import Any

from gdjax.core.engine.chain import chain
from gdjax.core.rule import errors
from gdjax.optimizers.adam.adam import adam
from gdjax.optimizers.matrix.muon import scale_by_shape
from gdjax.optimizers.matrix.soap import scale_by_soap
from gdjax.params.rules import by_label, by_rank
from gdjax.schedules.basic import constant_schedule, polynomial_schedule
from gdjax.schedules.join import join_schedules
from gdjax.schedules.piecewise import piecewise_interpolate_schedule
from gdjax.schedules.scaled import scaled_schedule
from gdjax.transforms.basic import scale, scale_by_learning_rate
from gdjax.transforms.cautious_decay import add_cautious_weight_decay
from gdjax.transforms.momentum import trace
from gdjax.transforms.orthogonalize import orthogonalize
from gdjax.transforms.weight_norm import radial_brake, update_floor
from gdjax.wrappers.averaging.averages import with_ema
from gdjax.wrappers.averaging.ema_nesterov import ema_nesterov
from gdjax.wrappers.select.masked import partition

__all__ = ["track3_46"]

RECORD = 2900  # steps of the schedules of the record, which all lengths here are relative to


def track3_46(
    steps: int = RECORD,
    learning_rate: float = 0.0375,
    *,
    embed: Any = None,
    head: Any = None,
    hidden: Any = None,
    embed_learning_rate: float = 0.3,
    head_learning_rate: float = 1 / 320,
    other_learning_rate: float = 0.01,
    matrix_axes: Any = None,
):
    """The composition of record 46 of modded-nanogpt's third track, of June 2026.

        hidden matrices: Nesterov momentum, SOAP, orthogonalization, Muon's shape factor,
            a floor of 0.3825 of each neuron's norm, power-law cool-down, radial brake,
            cautious decay after the brake
        embeddings, head, others: Adam, each with a rate and the power-law cool-down
        EMA-Nesterov around all, without its lookahead in the first 300 and the last 950 steps
        evaluated at 2/5 of the parameters and 3/5 of their tail average

    The record needs 2690 steps for a validation loss of 3.28 with a GPT of 124 million parameters,
    where the track's first entry, Muon, needs 3800; its schedules are for 2900 steps. This is its
    optimizer from parts of gdjax, with its numbers; lengths are scaled with `steps`. What differs
    from its program: SOAP's statistics are of the momentum, not of the gradient; output projections
    of attention have no trust gate; the brake is after the floor and bounds the whole change of the
    norm; Adam of vectors is debiased, with one b2; embeddings are averaged as well; the program's
    initialization is not part of an optimizer.

    >>> import gdjax as gd, jax.numpy as jnp
    >>> params = {"wte": jnp.ones((9, 4)), "up": jnp.ones((4, 8)), "bias": jnp.zeros(8)}
    >>> tx = gd.recipes.track3_46(1000, embed="wte")
    >>> after, _ = tx.step(params, tx.init(params), params)
    >>> after["wte"][0].round(4)
    Array([0.7, 0.7, 0.7, 0.7], dtype=float32)

    Args:
        steps: Length of the run, 20 or more.
        learning_rate: The rate of hidden matrices before its cool-down.
        embed: The embeddings: a pattern of paths, or any rule of `gdjax.params`; None for none.
        head: The output layer, likewise.
        hidden: The hidden matrices among the other parameters; None for arrays of two or more axes.
        embed_learning_rate: The rate of embeddings before its cool-down. The record's is for
            embeddings that a normalization follows and that are not the output layer as well;
            tied ones need a rate such as AdamW's.
        head_learning_rate: That of the output layer.
        other_learning_rate: That of all other parameters: biases, gains.
        matrix_axes: Which axes are the sides of matrices; see `gdjax.matrix_axes`.

    Raises:
        ValueError: `steps` is less than 20.

    Reference: ypwang61, Track 3: tail-EMA readout, RowFloor and cautious weight decay, 2026,
        https://github.com/KellerJordan/modded-nanogpt/pull/328
    """
    if steps < 20:
        errors.fail("track3_46", "steps must be 20 or more", steps)
    span = lambda count: round(count * steps / RECORD)
    rate = lambda peak: _cool_down(peak, steps, span(1413))
    rules, parts = {}, {}
    for name, rule, peak in (
        ("embed", embed, embed_learning_rate),
        ("head", head, head_learning_rate),
    ):
        if rule is not None:
            rules[name], parts[name] = rule, adam(rate(peak), 0.8, 0.99, 1e-10)
    rules |= {"hidden": by_rank(2) if hidden is None else hidden, "other": True}
    parts["hidden"] = _hidden(learning_rate, steps, span, matrix_axes)
    parts["other"] = adam(rate(other_learning_rate), 0.8, 0.997, 1e-10)
    ahead = ema_nesterov(partition(by_label(**rules), **parts), _lookahead(steps, span), 0.99)
    return with_ema(ahead, _tail(span), share=0.6)


def _cool_down(rate: float, steps: int, length: int) -> Any:
    """A constant rate that falls to zero over the last steps as their number to the power 1.2."""
    return polynomial_schedule(rate, 0.0, 1.2, length, steps - length)


def _lookahead(steps: int, span: Any) -> Any:
    """How far ahead the gradients of the step after each are: as the cool-down of Adam's rates."""
    begin, end, length = span(300) - 1, steps - span(950) - 1, span(1413)
    follows = polynomial_schedule(0.3, 0.0, 1.2, length, steps - length - begin)
    none = constant_schedule(0.0)
    return join_schedules([none, follows, none], [begin, end])


def _tail(span: Any) -> Any:
    """The decay of an average that begins at the point after some steps, 0 before."""
    within = constant_schedule(1 - 1 / max(span(150), 1))
    return join_schedules([constant_schedule(0.0), within], [span(2400)])


def _hidden(learning_rate: float, steps: int, span: Any, matrix_axes: Any) -> Any:
    """The stages of hidden matrices."""
    about = {"matrix_axes": matrix_axes}
    rate = _cool_down(learning_rate, steps, span(2386))
    ends = {span(300): 0.95 / 0.85, steps - span(200): 1.0, steps: 0.85 / 0.95}
    momentum = piecewise_interpolate_schedule("linear", 0.85, ends)
    return chain(
        trace(momentum, nesterov=True),
        scale_by_soap(0.0, 0.9, every=1, skip_first=False, **about),
        orthogonalize((2.0, -1.5, 0.5), 12, **about),
        scale_by_shape(matrix_axes),
        update_floor(0.3825, norm="columns", **about),
        scale_by_learning_rate(rate),
        radial_brake(0.5, **about),
        # A decay of what is a step already: entries that it moves towards zero have its other sign.
        scale(-1.0),
        add_cautious_weight_decay(scaled_schedule(rate, 0.025)),
        scale(-1.0),
    )
