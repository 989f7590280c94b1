"""Progress bar of a compiled run, by callbacks from the running program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from gdjax.core.rule import errors

__all__: list[str] = []  # of `minimize` and the lab


def add_cpu() -> None:
    """Adds the CPU to the platforms of JAX_PLATFORMS; call it before JAX initializes devices."""
    named: str | None = getattr(jax.config, "jax_platforms", None)
    if named and "cpu" not in named.split(","):
        jax.config.update("jax_platforms", f"{named},cpu")


def need_cpu(where: str) -> None:
    """Checks for the CPU device, which JAX needs for callbacks.

    Raises:
        RuntimeError: `JAX_PLATFORMS` excludes the CPU.
    """
    try:
        jax.local_devices(backend="cpu")
    except RuntimeError:
        named: str | None = getattr(jax.config, "jax_platforms", None)
        must = "progress needs JAX's CPU device beside the others"
        hint = f'Set JAX_PLATFORMS="{named},cpu", or leave progress out.'
        errors.fail(where, must, f"JAX_PLATFORMS={named}", instead=hint, kind=RuntimeError)


class Bar(NamedTuple):
    """The static part of a progress bar: equal for equal numbers of steps."""

    steps: int
    every: int

    def report(self, done: jax.Array, loss: jax.Array) -> None:
        """Draws the bar from inside a compiled program."""
        jax.debug.callback(_draw, self.steps, done, loss)


def progress_bar(steps: int) -> Bar:
    """The progress bar of `minimize`, drawn a hundred times.

    Raises:
        ImportError: tqdm is missing.
        RuntimeError: `JAX_PLATFORMS` excludes the CPU.
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
    """Advances the bar of a run: opened by its first step, closed by its last.

    Under `vmap` every run of the batch calls this; the first run opens and closes the bar.
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
