"""Records trajectories of other packages on the shared problem, in float64.

In an environment with torch==2.13.0, pytorch_optimizer==4.1.0 and heavyball==3.2.1:
python -m tests.oracles.record_precondition

Writes recorded/precondition.npz: `<package>/<case>` is a trajectory [61, 8], `meta` a JSON string
with the versions and, for every case, the class and its arguments.
"""

import importlib
import importlib.metadata
import json
import pathlib

import heavyball
import numpy as np
import torch

from . import problem

VERSIONS = {"torch": "2.13.0", "pytorch_optimizer": "4.1.0", "heavyball": "3.2.1"}
TARGET = pathlib.Path(__file__).parent / "recorded" / "precondition.npz"

# An eps that does not count: both put it beside the root before the squares are debiased.
ADAM = {"lr": 0.05, "betas": (0.9, 0.95), "eps": 1e-30, "weight_decay": 0.0}
PLAIN = {
    "shampoo_beta": 0.9,
    "use_precond_schedule": False,
    "merge_dims": False,
    "storage_dtype": "float64",
    "compile_step": False,
}
# key: (class, its keyword arguments). With a frequency of 100 the basis is the first for ever.
# heavyball decides by a sum of shares when a basis is due; with a share of 1 that is always.
CASES = {
    "pytorch_optimizer/soap": ("SOAP", ADAM | {"precondition_frequency": 100}),
    "pytorch_optimizer/soap-refreshed": ("SOAP", ADAM | {"precondition_frequency": 3}),
    "pytorch_optimizer/shampoo": ("Shampoo", {"lr": 0.1, "matrix_eps": 1e-2}),
    "heavyball/soap": ("SOAP", ADAM | PLAIN | {"precondition_frequency": 1000}),
    "heavyball/soap-refreshed": ("SOAP", ADAM | PLAIN | {"precondition_frequency": 1}),
}


def trajectory(make):
    """The trajectory [61, 8] of the optimizer that `make` makes of parameters."""
    tree = problem.split(problem.start())
    parameters = {key: torch.nn.Parameter(torch.tensor(leaf)) for key, leaf in tree.items()}
    optimizer = make(list(parameters.values()))
    path = [problem.start()]
    for t in range(problem.STEPS):
        for key, g in problem.split(problem.gradient(path[-1], t)).items():
            parameters[key].grad = torch.tensor(g)
        optimizer.step()
        path.append(problem.join({key: p.detach().numpy() for key, p in parameters.items()}))
    return np.stack(path)


def record():
    """Returns all recordings, key to array."""
    torch.set_default_dtype(torch.float64)
    heavyball.utils.compile_mode = None
    arrays, cases = {}, {}
    for key, (name, arguments) in CASES.items():
        module = key.split("/")[0]
        make = getattr(importlib.import_module(module), name)
        arrays[key] = trajectory(lambda ps, make=make, a=arguments: make(ps, **a))
        cases[key] = {"class": f"{module}.{name}", "arguments": arguments}
    meta = {"versions": VERSIONS, "problem": "tests/oracles/problem.py", "cases": cases}
    return arrays | {"meta": np.array(json.dumps(meta | {"numpy": np.__version__}))}


if __name__ == "__main__":
    for package, version in VERSIONS.items():
        found = importlib.metadata.version(package).split("+")[0]
        if found != version:
            raise SystemExit(f"record_precondition: needs {package} {version}, got {found}.")
    np.savez_compressed(TARGET, **record())
