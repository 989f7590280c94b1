"""Records trajectories of the authors' packages of low-rank optimizers, in float64.

In an environment with torch==2.13.0, apollo-torch==1.0.3 and fira==1.0.2:
    python -m tests.oracles.record_low_rank

Writes recorded/low_rank.npz: `<package>/<case>` is a trajectory [61, 8], `<package>/<case>/drawn`
the random projections of the matrix [periods, 2, rank], `meta` a JSON string with the versions and
the arguments. Bias corrections are off, which these packages apply after the limiter, and so is the
decay of weights, which they apply to the weights after the step.
"""

import importlib.metadata
import json
import pathlib

import apollo_torch
import fira
import numpy as np
import torch

from . import problem

VERSIONS = {"torch": "2.13.0", "apollo-torch": "1.0.3", "fira": "1.0.2"}
TARGET = pathlib.Path(__file__).parent / "recorded" / "low_rank.npz"
GAP = 7
RANDOM = {"update_proj_gap": GAP, "proj": "random", "proj_type": "std"}
# Signs of singular vectors are arbitrary, so Fira's are computed once.
# key: (class, its keyword arguments, those of the group of the matrix alone)
ADAM = {"lr": 0.05, "eps": 1e-3, "correct_bias": False}
CASES = {
    "apollo_torch/apollo": (
        apollo_torch.APOLLOAdamW,
        ADAM,
        {"rank": 2, "scale": 4.0, "scale_type": "channel", **RANDOM},
    ),
    "apollo_torch/apollo_mini": (
        apollo_torch.APOLLOAdamW,
        ADAM,
        {"rank": 1, "scale": 128.0, "scale_type": "tensor", **RANDOM},
    ),
    "fira/fira": (
        fira.FiraAdamW,
        ADAM,
        {"rank": 1, "update_proj_gap": 100, "alpha": 1.0, "proj_type": "std"},
    ),
}


def trajectory(make, arguments, group):
    """The trajectory [61, 8], and the projections of the matrix."""
    tree = problem.split(problem.start())
    parameters = {key: torch.nn.Parameter(torch.tensor(leaf)) for key, leaf in tree.items()}
    groups = [{"params": [parameters["w"]], **group}, {"params": [parameters["b"]]}]
    optimizer, path, drawn = make(groups, **arguments), [problem.start()], []
    for t in range(problem.STEPS):
        for key, g in problem.split(problem.gradient(path[-1], t)).items():
            parameters[key].grad = torch.tensor(g)
        optimizer.step()
        if t % GAP == 0:
            drawn.append(optimizer.state[parameters["w"]]["projector"].ortho_matrix.numpy().copy())
        path.append(problem.join({key: p.detach().numpy() for key, p in parameters.items()}))
    return np.stack(path), np.stack(drawn)


def record():
    """Returns all recordings, key to array."""
    arrays, cases = {}, {}
    for key, (make, arguments, group) in CASES.items():
        arrays[key], drawn = trajectory(make, arguments, group)
        if "proj" in group:
            arrays[f"{key}/drawn"] = drawn
        cases[key] = {"class": make.__name__, "arguments": arguments, "matrix": group}
    meta = {"versions": VERSIONS, "problem": "tests/oracles/problem.py", "cases": cases}
    return arrays | {"meta": np.array(json.dumps(meta | {"numpy": np.__version__}))}


if __name__ == "__main__":
    for package, version in VERSIONS.items():
        found = importlib.metadata.version(package).split("+")[0]
        if found != version:
            raise SystemExit(f"record_low_rank: needs {package} {version}, got {found}.")
    np.savez_compressed(TARGET, **record())
