"""Character-level language models: the problems of the races under equal budgets.

The setting of `charlm` is the smallest one of nanoGPT (4 layers, 4 heads, width 128, context 64,
batches of 12, 2000 steps), whose published validation loss on Shakespeare's plays is 1.88 with
AdamW. The text is by default the sources of Python's own standard library, which every machine has.

>>> from gdjax.lab.charlm import charlm
>>> charlm().steps
2000
"""

from __future__ import annotations

__all__ = ["MODULES", "Shape", "Text", "charlm", "charlm_small", "features", "library", "read"]

import dataclasses
import functools
import hashlib
import os
import string
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gdjax.core.rule import errors
from gdjax.lab.problem import Problem

# They are in the standard library of Python 3.11 to 3.13, each in one file.
MODULES = (
    *("argparse", "ast", "configparser", "difflib", "doctest", "enum", "functools", "inspect"),
    *("ipaddress", "mailbox", "optparse", "os", "pdb", "pickle", "pickletools", "pydoc", "shutil"),
    *("smtplib", "statistics", "subprocess", "tarfile", "textwrap", "threading", "typing"),
)
_ASCII = "\n" + "".join(sorted(set(string.printable) - set(string.whitespace) | {" "}))
_WINDOWS = 256  # of the validation text, evenly spaced: 16384 characters
_TOGETHER = 32  # windows whose loss is computed at once, so that it takes little memory


class Text(NamedTuple):
    """A text as numbers: nine tenths for training, one tenth for validation, or as `train` says."""

    name: str
    alphabet: str
    codes: np.ndarray  # [n] uint8 or uint16: places in the alphabet
    train: int | None = None  # how many of the first characters are for training

    @property
    def digest(self) -> str:
        """A hash of the text, sixteen hexadecimal digits."""
        data = self.alphabet.encode() + b"\0" + self.codes.astype("<u2").tobytes()
        split = b"" if self.train is None else str(self.train).encode()
        return hashlib.sha256(data + split).hexdigest()[:16]

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation text."""
        first = len(self.codes) * 9 // 10 if self.train is None else self.train
        return self.codes[:first], self.codes[first:]


class Shape(NamedTuple):
    """How large the transformer and its batches are, and than which smaller one.

    Where it has the hyperparameters of a narrower and shallower model, `wider` and `deeper` are the
    ratios to it: weights within blocks start smaller by √wider, logits are divided by `wider`,
    what a block adds by `deeper`. With 1 and 1 nothing changes.
    """

    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    batch: int = 12
    wider: float = 1.0
    deeper: float = 1.0


SHAPE = Shape()
_SMALL = Shape(layers=2, heads=4, width=64, context=32, batch=8)


@functools.cache
def library() -> Text:
    """The concatenated sources of `MODULES` of the running Python, ASCII only.

    Raises:
        FileNotFoundError: Python was installed without its sources.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    try:
        sources = [(folder / f"{name}.py").read_text("utf-8") for name in MODULES]
    except OSError as error:
        must = "the sources of Python's standard library must be there"
        instead = "Give another text: --text FILE."
        errors.fail("charlm", must, error.filename, instead=instead, kind=FileNotFoundError)
    # A fixed alphabet: whatever a version of Python adds or drops, the model has one shape.
    return _text("the standard library's sources", "".join(sources), _ASCII)


def read(path: str | os.PathLike[str]) -> Text:
    """Reads a text in UTF-8; its characters are the alphabet.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not UTF-8, or too short.
    """
    try:
        characters = Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        errors.fail("charlm", "the text must be UTF-8", repr(os.fspath(path)))
    except OSError as error:
        must = f"{os.fspath(path)!r} must be a file that can be read"
        raise type(error)(f"charlm: {must}, got: {error.strerror}.") from None
    return _text(Path(path).name, characters, "".join(sorted(set(characters))))


def _text(name: str, characters: str, alphabet: str) -> Text:
    place = {c: i for i, c in enumerate(alphabet)}
    kind = np.uint8 if len(alphabet) <= 256 else np.uint16
    return Text(name, alphabet, np.array([place[c] for c in characters if c in place], kind))


def charlm(text: Text | str | os.PathLike[str] | None = None, shape: Shape = SHAPE) -> Problem:
    """Character-level transformer: 0.8 million parameters, loss in nats a character.

        x = E[characters] + positions
        each layer:  x ← x + attention(norm(x))·proj,    x ← x + gelu(norm(x)·up)·down
        loss −mean log softmax(norm(x)·Eᵀ)[next character]

    The loss without a batch is that of 256 windows of the last tenth of the text.

    Args:
        text: A text, the path of one, or None for the standard library's sources.
        shape: Sizes of the model and of its batches.

    Raises:
        OSError: The file cannot be read.
        ValueError: The text is not UTF-8, or too short for the context.

    Reference: Radford, Wu, Child, Luan, Amodei and Sutskever, Language models are unsupervised
    multitask learners, 2019,
    https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf;
    the setting: https://github.com/karpathy/nanoGPT
    """
    if not isinstance(text, Text):
        text = library() if text is None else read(text)
    train, validate = text.parts
    if len(validate) <= shape.context + 1:
        must = f"the text must have more than {10 * (shape.context + 1)} characters"
        errors.fail("charlm", must, f"{len(text.codes)} in {text.name}")
    window = np.arange(shape.context + 1)
    starts = np.linspace(0, len(validate) - len(window), _WINDOWS).astype(int)
    held = validate[starts[:, None] + window].reshape(-1, _TOGETHER, len(window))

    def loss(params: Any, batch: Any = None) -> chex.Array:
        if batch is not None:
            return _loss(params, batch, shape)
        # Checkpointed: its gradient, if ever asked for, does not keep all activations at once.
        part = jax.checkpoint(lambda tokens: _loss(params, tokens, shape))
        return jnp.mean(jax.lax.map(part, jnp.asarray(held)))

    def batches(key: chex.PRNGKey) -> Callable[[Any], chex.Array]:
        def batch(step):
            here = jax.random.fold_in(key, step)
            at = jax.random.randint(here, (shape.batch, 1), 0, len(train) - len(window) + 1)
            return jnp.asarray(train)[at + jnp.asarray(window, at.dtype)[None]]

        return batch

    return Problem(
        name="charlm",
        description=f"transformer of {shape.layers} layers, width {shape.width}, on {text.name}",
        citation="Radford, Wu, Child, Luan, Amodei and Sutskever, Language models are unsupervised "
        "multitask learners, 2019, https://cdn.openai.com/better-language-models/"
        "language_models_are_unsupervised_multitask_learners.pdf",
        init=functools.partial(_init, len(text.alphabet), shape),
        loss=loss,
        batches=batches,
        steps=2000,
        target=1.5,
        measured="validation loss (nats a character)",
        digest=text.digest,
        apart=jax.default_backend() == "cpu",
    )


def charlm_small(text: Text | str | os.PathLike[str] | None = None) -> Problem:
    """Character-level transformer for races on a CPU: 0.1 million parameters, 300 steps.

    It is `charlm` with 2 layers, 4 heads, width 64, context 32 and batches of 8.

    Args:
        text: As of `charlm`.

    Raises:
        OSError: The file cannot be read.
        ValueError: The text is not UTF-8, or too short for the context.
    """
    return dataclasses.replace(charlm(text, _SMALL), name="charlm_small", steps=300)


def _init(alphabet: int, shape: Shape, key: chex.PRNGKey) -> dict[str, Any]:
    """Normal weights of deviation 0.02, less where a layer adds to the stream."""
    keys = iter(jax.random.split(key, 2 + 4 * shape.layers))
    width, within = shape.width, 0.02 / shape.wider**0.5
    adds = within / (2 * shape.layers / shape.deeper) ** 0.5

    def normal(rows: int, columns: int, deviation: float = within) -> chex.Array:
        return deviation * jax.random.normal(next(keys), (rows, columns))

    return {
        "embed": {
            "characters": normal(alphabet, width, 0.02),
            "positions": normal(shape.context, width, 0.02),
        },
        "blocks": [
            {
                "qkv": normal(width, 3 * width),
                "proj": normal(width, width, adds),
                "up": normal(width, 4 * width),
                "down": normal(4 * width, width, adds),
                "norms": (jnp.ones(width), jnp.ones(width)),
            }
            for _ in range(shape.layers)
        ],
        "norm": jnp.ones(width),
    }


def _loss(params: Any, tokens: chex.Array, shape: Shape) -> Any:
    """Mean cross-entropy of the characters after the first, tokens [batch, context + 1]."""
    tokens = tokens.astype(int)
    logits = features(params, tokens, shape)[-1]
    told = jnp.take_along_axis(logits, tokens[:, 1:].reshape(-1, 1), axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - told)


def features(params: Any, tokens: chex.Array, shape: Shape) -> list[Any]:
    """The outputs of the embedding, of each block, and the logits, each [batch·context, …].

    Args:
        params: Of the problem of this shape.
        tokens: Places in the alphabet, [batch, context + 1]; the last is not read.
        shape: Sizes of the model.
    """
    embed, tokens = params["embed"]["characters"], tokens.astype(int)
    x: Any = embed[tokens[:, :-1]] + params["embed"]["positions"][None]
    # One row for each character: on CPU products of matrices take 0.6 of the time of batched ones.
    batch, context, width = x.shape
    found = [x := x.reshape(batch * context, width)]
    heads = (batch, context, shape.heads, width // shape.heads)
    for weights in params["blocks"]:
        found.append(x := _block(x, weights, heads, 1 / shape.deeper))
    return [*found, _norm(x, params["norm"]) @ embed.T / shape.wider]


def _block(x: Any, weights: Any, shape: tuple[int, int, int, int], part: float) -> chex.Array:
    """Causal attention, then a network of one hidden layer; x [batch·context, width]."""
    before, between = weights["norms"]
    qkv = (_norm(x, before) @ weights["qkv"]).reshape(*shape[:2], 3, *shape[2:])
    q, k, v = (qkv[:, :, i] for i in range(3))
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * shape[-1] ** -0.5
    future = np.triu(np.ones((1, 1, shape[1], shape[1]), bool), 1)
    attention = jax.nn.softmax(jnp.where(future, -jnp.inf, scores))
    attended = jnp.einsum("bhqk,bkhd->bqhd", attention, v).reshape(x.shape)
    x = x + part * (attended @ weights["proj"])
    hidden = jax.nn.gelu(_norm(x, between) @ weights["up"], approximate=False)
    return x + part * (hidden @ weights["down"])


def _norm(x: Any, scale: Any) -> Any:
    """Layer norm without a bias, of rows [n, width]."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5) * scale[None]
