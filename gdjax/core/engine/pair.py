"""The pair `(init, update)`, as Python and as type checkers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

Params = TypeVar("Params")
State = TypeVar("State")
Updates = TypeVar("Updates")


class Init(Protocol):
    """The first function of a transformation."""

    def __call__(self, params: Any) -> Any:
        """Makes the state before the first step."""


class Update(Protocol):
    """The second function of a transformation."""

    def __call__(
        self, updates: Updates, state: State, params: Any = None, **extra: Any
    ) -> tuple[Updates, State]:
        """Turns gradients into updates, and a state into the next."""
        ...


class _Pair(NamedTuple):
    init: Init
    update: Update


_Base = _Pair
if TYPE_CHECKING:
    # Checkers that know optax take a transformation for one of optax's class, and accept it in
    # `optax.chain`, `flax.nnx.Optimizer` or `TrainState`. In a running program it is none, for
    # optax is not imported: what asks `isinstance` (numpyro, gpjax) needs `to_optax` of
    # `gdjax.compat.optax.convert`. Checkers that see no types in optax (mypy) keep the pair above.
    from optax import GradientTransformation as _Base  # type: ignore


class InitUpdate(_Base):
    """The pair of functions `(init, update)`."""

    init: Init  # pyright: ignore # pyrefly: ignore
    update: Update  # pyright: ignore # pyrefly: ignore
