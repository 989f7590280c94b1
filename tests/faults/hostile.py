"""Hostile specs and calls as text, by kind and place.

The tables are multiplied by the tests: each kind stands at each place. A function that is called,
or a module whose attributes are read, notes it in `CALLED`.
"""

from __future__ import annotations

import sys
import types

CALLED: list[str] = []  # must stay empty


def canary(*args, **kwargs):
    """Must not be called."""
    CALLED.append("canary")


class _Trap(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):  # Python itself asks modules for __file__
            raise AttributeError(name)
        CALLED.append(f"read of {name}")
        return canary


sys.modules["trap"] = _Trap("trap")


class Bomb:
    """What must not be unpickled."""

    def __reduce__(self):
        return canary, ()


def nested(depth, inside=0.1):
    """Lists in lists."""
    for _ in range(depth):
        inside = [inside]
    return inside


def calls(depth):
    """Chains in chains."""
    data = {"sgd": [0.1]}
    for _ in range(depth):
        data = {"chain": [data]}
    return data


# Values of a spec that are wrong wherever a number, a transformation or a mask is wanted.
VALUES = {
    "a call of nothing": {"os.system": ["id"]},
    "a call by module": {"os:system": ["id"]},
    "a call of a module that is a trap": {"trap:system": ["id"]},
    "a call of the canary": {"tests.faults.hostile:canary": {}},
    "a call of a module that is not imported": {"antigravity:x": {}},
    "dunder": {"__class__": {}},
    "dunder of a factory": {"adam.__init__": {}},
    "an attribute of gdjax": {"gdjax.os.system": ["id"]},
    "an attribute of compat": {"optax.importlib": ["os"]},
    "a private name of compat": {"optax._src": {}},
    "a module of compat": {"optax.convert.to_optax": {}},
    "a path": {"../../etc/passwd": {}},
    "null": {"adam\0w": {}},
    "surrogate": {"\ud800": {}},
    "a format string": {"{0.__class__}%s%n": {}},
    "a long name": {"a" * 100_000: {}},
    "no name": {"": {}},
    "two names": {"sgd": [0.1], "adam": [0.1]},
    "no key": {},
    "arguments that are text": {"sgd": "0.1"},
    "arguments that are a number": {"sgd": 0.1},
    "arguments that are nothing": {"sgd": None},
    "a wrong argument": {"sgd": {"__class__": 1}},
    "self": {"sgd": {"self": 1, "learning_rate": 0.1}},
    "stars": {"sgd": {"*args": [0.1]}},
    "two stars": {"sgd": {"**kwargs": {"learning_rate": 0.1}}},
    "starred text": {"chain": {"*transformations": "ab"}},
    "starred number": {"chain": {"*transformations": 5}},
    "too many arguments": {"sgd": list(range(1000))},
    "deep calls": calls(500),
    "deep lists": nested(2000),
    "deep starred": {"chain": {"*transformations": nested(2000)}},
    "an unknown function": {"function": "os:system"},
    "a function of a trap": {"function": "trap:run"},
    "the canary": {"function": "tests.faults.hostile:canary"},
    "a method of the canary": {"function": "tests.faults.hostile:canary.__call__"},
    "a function of the library that writes": {"function": "gdjax.state.files:save"},
    "a module of the library": {"function": "gdjax.lab.cli:main"},
    "a builtin": {"function": "builtins:eval"},
    "a function without module": {"function": "eval"},
    "a function that is a number": {"function": 5},
    "a function that is a list": {"function": ["os:system"]},
    "an object dtype": {"dtype": "O"},
    "a text dtype": {"dtype": "S10000000000"},
    "a record dtype": {"dtype": "f4,f4"},
    "a dtype of null": {"dtype": "\0"},
    "a dtype that is a number": {"dtype": 5},
    "a dtype that is a dict": {"dtype": {"names": ["a"], "formats": ["O"]}},
    "an array of objects": {"array": [1], "dtype": "O"},
    "an array without dtype": {"array": [1]},
    "an array of text": {"array": ["one"], "dtype": "float32"},
    "a ragged array": {"array": [[1], [1, 2]], "dtype": "float32"},
    "an array of dicts": {"array": [{}], "dtype": "float32"},
    "an array too deep": {"array": nested(100), "dtype": "float32"},
    "an array of a giant": {"array": [10**400], "dtype": "int32"},
    "an array with more": {"array": [1], "dtype": "float32", "shape": [10**15]},
    "an array of half a complex": {"array": [1], "dtype": "complex64"},
    "a float of text": {"float": "fast"},
    "a float of a list": {"float": [1]},
    "a complex of one list": {"complex": [[1], 2]},
    "a complex of three": {"complex": [1, 2, 3]},
    "a complex of text": {"complex": "12"},
    "a tuple of text": {"tuple": "ab"},
    "a tuple of a dict": {"tuple": {"a": 1}},
    "a dict of numbers": {"dict": [1, 2]},
    "a dict with a list as key": {"dict": [[[1], 2]]},
    "a dict with a key twice": {"dict": [["a", 1], ["a", 2]]},
    "a dict of text": {"dict": "ab"},
    "a partition of a number": {"partition_spec": 5},
    "a giant": 10**400,
    "a giant of 5000 digits": 10**5000,
    "a bytes": b"adam",
}

# Where such a value stands in a spec.
PLACES = {
    "the whole": lambda x: x,
    "a number": lambda x: {"adam": {"learning_rate": x}},
    "a number by position": lambda x: {"adam": [0.1, x]},
    "a stage": lambda x: {"chain": [{"sgd": [0.1]}, x]},
    "a named stage": lambda x: {"chain": {"a": x}},
    "what is wrapped": lambda x: {"apply_if_finite": {"inner": x}},
    "a number of a schedule": lambda x: {"sgd": [{"linear_schedule": [x, 0.0, 10]}]},
    "a live value": lambda x: {"sgd": [{"live": [x]}]},
}

# Calls as text.
TEXTS = [
    "__import__('os').system('id')",
    "os.system('id')",
    "gdjax.os.system('id')",
    "adam.__class__",
    "adam.__class__()",
    "adam()()",
    "adam(**{'learning_rate': 0.1})",
    "adam(*[0.1])",
    "adam(learning_rate=0.1, learning_rate=0.2)",
    "adam(lambda: 0)",
    "adam(x := 0.1)",
    "adam([x for x in (1,)])",
    "adam({x: 1 for x in (1,)})",
    "adam(f'{1}')",
    "adam('{0.__class__}')",
    "adam(open('/etc/passwd'))",
    "adam(eval('1'))",
    "adam(exec)",
    "adam(0.1 + 0.1)",
    "adam(2 ** 10 ** 10)",
    "adam('a' * 10 ** 10)",
    "adam(not 1)",
    "adam(1 if 1 else 2)",
    "adam(a.b)",
    "adam(a[0])",
    "adam(await x)",
    "adam(yield)",
    "adam(...)",
    "adam(b'x')",
    "adam({1, 2})",
    "adam({[]: 1})",
    "adam(" + "9" * 400 + ")",
    "adam(" + "9" * 5000 + ")",
    "adam(-1)",
    "adam(nan)",
    "adam(" + "(" * 300 + "1" + ")" * 300 + ")",
    "adam(" + "[" * 150 + "]" * 150 + ")",
    "adam(" + "-" * 3000 + "1)",
    "adam(" + "1+" * 3000 + "1)",
    "chain(" * 90 + ")" * 90 + "(",
    "adam(b1=__name__)",
    "__class__",
    "__builtins__",
    "import os",
    "adam(); import os",
    "adam(\n)\nadam()",
    "",
    " ",
    "\0",
    "adam\0",
    "\ud800",
    "adam('\ud800')",
    "ａdam.b",
    "adam(" + "b1=0.9, b2=0.9," * 300 + ")",
    "adam(" + "0.1," * 300 + ")",
    "a" * 100_000,
    "(" * 100_000,
    "5",
    "'adam'",
    "[adam]",
    "print(1)",
    "constant_schedule()",
    "adam # comment\n!",
]

# Values of `NAME=VALUE` on the command line.
SWEEPS = [
    "b2=__import__('os')",
    "b2=open('x')",
    "b2=os",
    "b2={[]: 1}",
    "b2=" + "[" * 300,
    "b2=" + "-" * 3000 + "1",
    "b2=" + "9" * 5000,
    "__class__",
    "a.b=1",
    "=1",
    "b2=",
    "b2=\0",
    "b 2=1",
    "b2=1)(",
]
