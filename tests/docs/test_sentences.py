"""What many docstrings say of one argument they say in one way: the sentence stands here."""

import difflib
import inspect
import re

import pytest

from gdjax.core.data.recipe import factories

# Sentences that stand in many docstrings; `…` is what differs. To change one, change it here: the
# test lists the docstrings that say it otherwise.
SENTENCES = {
    "axis_name": ["Axes of `shard_map` or `pmap` over which the … are split"],
    "b1": ["Decay of the …, in [0, 1)"],
    "b2": ["Decay of the …, in [0, 1)"],
    "backend": ["How matrices are orthogonalized, see `orthogonalize`"],
    "eps_root": ["In the units of the squared gradient, ≥ 0"],
    "key": ["A seed, or a key of `jax.random`"],
    "learning_rate": ["η ≥ 0, in the units of the parameters"],
    "mask": ["Which parameters decay; see `add_decayed_weights`"],
    "matrix_axes": ["Which axes are the sides of matrices; see `gdjax.matrix_axes`"],
    "mu_dtype": ["Dtype in which … is kept; float32 or wider by default"],
    "nesterov": ["Uses Nesterov momentum"],
    "steps": ["Steps of the iteration"],
}


def described(argument):
    """What each factory of gdjax says of an argument."""
    entry = re.compile(rf"^    {argument}: (.*(?:\n        .*)*)", re.MULTILINE)
    for name, made in factories().items():
        text = (inspect.getdoc(made.function) or "").partition("\nArgs:\n")[2]
        if made.is_ours and (found := entry.search(text)):
            yield name, " ".join(found[1].split())


def says(text, sentence):
    """Whether a description begins with a sentence."""
    return re.match(re.escape(sentence).replace("…", ".+"), text) is not None


def resembles(text, sentence):
    """Whether it has nearly the words of a sentence."""
    start = text[: len(sentence)]
    return difflib.SequenceMatcher(None, start, sentence, autojunk=False).ratio() > 0.8


@pytest.mark.parametrize("argument", SENTENCES)
def test_one_thing_is_said_in_one_way(argument):
    texts, sentences = dict(described(argument)), SENTENCES[argument]
    for sentence in sentences:
        assert sum(says(text, sentence) for text in texts.values()) > 4, sentence
    other = [
        f"{name} says {text!r} for {sentence!r}"
        for name, text in texts.items()
        for sentence in sentences
        if resembles(text, sentence) and not any(says(text, s) for s in sentences)
    ]
    assert not other, "\n".join(other)
