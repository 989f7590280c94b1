"""The progress bar of a compiled run, drawn by callbacks from the running program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from gdjax.core.rule import errors

__all__: list[str] = []  # of `minimize` and the lab


def add_cpu() -> None:
    """Adds the CPU to the platforms that JAX_PLATFORMS names; before JAX looks for its devices."""
    named: str | None = getattr(jax.config, "jax_platforms", None)
    if named and "cpu" not in named.split(","):
        jax.config.update("jax_platforms", f"{named},cpu")


def need_cpu(where: str) -> None:
    """Raises where a running program cannot report: JAX takes callbacks by way of its CPU device.

    Raises:
        RuntimeError: `JAX_PLATFORMS` names others alone.
    """
    try:
        jax.local_devices(backend="cpu")
    except RuntimeError:
        named: str | None = getattr(jax.config, "jax_platforms", None)
        must = "progress needs JAX's CPU device beside the others"
        hint = f'Set JAX_PLATFORMS="{named},cpu", or leave progress out.'
        errors.fail(where, must, f"JAX_PLATFORMS={named}", instead=hint, kind=RuntimeError)


class Bar(NamedTuple):
    """What is compiled in of a bar: equal for equal numbers of steps."""

    steps: int
    every: int

    def report(self, done: jax.Array, loss: jax.Array) -> None:
        """Draws from inside a program."""
        jax.debug.callback(_draw, self.steps, done, loss)


def progress_bar(steps: int) -> Bar:
    """The bar of `minimize`, drawn a hundred times.

    Raises:
        ImportError: tqdm is missing.
        RuntimeError: There is no CPU device to report by.
    """
    try:
        import tqdm.auto  # noqa: F401
    except ImportError:
        raise ImportError(
            'minimize: progress needs tqdm. Write pip install "gdjax[lab]".'
        ) from None
    need_cpu("minimize")
    return Bar(steps, max(1, steps // 100))


_open_bars: dict[int, Any] = {}


def _draw(steps: Any, done: Any, loss: Any) -> None:
    """Moves the bar of a run: opened by its first step, closed by its last.

    Under `vmap` every run of the batch draws here; the first of them opens and closes.
    """
    from tqdm.auto import tqdm

    steps, done = int(steps), int(done)
    if done == 1 and steps not in _open_bars:
        _open_bars[steps] = tqdm(total=steps, unit="step", desc="minimize")
    if (bar := _open_bars.get(steps)) is None:
        return
    bar.set_postfix_str(f"loss {float(loss):.4g}", refresh=False)
    bar.update(max(0, done - bar.n))
    if done >= steps:
        _open_bars.pop(steps).close()
