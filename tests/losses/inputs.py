"""The inputs on which losses were recorded, and what the tests of losses share."""

import json

import numpy as np
import optax

from tests.references import recordings

RECORDED = dict(recordings("losses"))
META = json.loads(str(RECORDED.pop("meta")))
NAMES = [n for n in dir(optax.losses) if not n.startswith("_")]


def given(name):
    return RECORDED[f"in/{name}"]


X, Z, C, SOFT, BITS, SIGNS, UNIT = map(given, "x z c soft bits signs unit".split())
LOG_P, LABELS, IMAGE, MASK = map(given, "log_p labels image mask".split())
KEEP = np.array([[1, 1, 0, 1, 1], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 1, 1, 1]], bool)
KEPT_ROWS = np.array([True, False, True, True])
GROUPS = np.array([0, 1, 1, 0, 1, 2])
POINTS = np.random.default_rng(5).standard_normal((6, 3))
FRAMES = given("frames")[:3], np.zeros((3, 9)), given("sequences")[:3], np.zeros((3, 3))
