"""Records trajectories of another package on the shared problem, in float64.

In an environment with torch==2.13.0 and pytorch_optimizer==4.1.0:
python -m tests.oracles.record_muon_kin

Writes recorded/muon_kin.npz: `<package>/<case>` is a trajectory [61, 8], `meta` a JSON string with
the versions and, for every case, the class and its arguments.

Matrices of torch are [out, in]: the block w is its transpose there. Both packages orthogonalise in
bfloat16, and pytorch_optimizer adds 1e-7 to the norm; here they do so in float64 and add nothing.
Its Scion adds small numbers to other norms too: it gets gradients a million times as long, which
else it cannot tell from these. torch's Muon takes matrices alone: b goes to torch's AdamW.
"""

import functools
import importlib
import importlib.metadata
import json
import pathlib
import sys
from unittest import mock

import numpy as np
import torch

from . import problem

VERSIONS = {"torch": "2.13.0", "pytorch_optimizer": "4.1.0"}
TARGET = pathlib.Path(__file__).parent / "recorded" / "muon_kin.npz"
ADAM = {"use_muon": False, "lr": 0.02, "betas": (0.8, 0.99), "weight_decay": 0.1, "eps": 0.0}
NORMUON = {"momentum": 0.9, "beta2": 0.8, "nesterov": False, "eps": 0.0}
MUON = {"use_muon": True, "lr": 0.05, "weight_decay": 0.1}
HEADS = MUON | {"attention_name": "heads"}
BIAS = {"norm_type": 5, "scale": 1.5}
SCION = {"lr": 0.05, "momentum": 0.3}

# key: (class, its arguments, those of the group of w, those of the group of b)
CASES = {
    "normuon": ("NorMuon", NORMUON | {"update_scale": "match_rms"}, MUON, ADAM),
    "normuon_length": ("NorMuon", NORMUON | {"update_scale": "preserve_norm"}, MUON, ADAM),
    "scion_spectral": ("SCION", SCION, {"norm_type": 2, "scale": 0.7}, BIAS),
    "scion_sign": ("SCION", SCION, {"norm_type": 4, "scale": 0.7}, BIAS),
    "scion_col": ("SCION", SCION, {"norm_type": 6, "scale": 0.7}, BIAS),
    "scion_row_constraint": ("SCION", SCION | {"constraint": True}, {"norm_type": 7}, BIAS),
    "scion_constraint": (
        "SCION",
        SCION | {"constraint": True},
        {"norm_type": 2, "scale": 0.7},
        BIAS,
    ),
    "muon_clip_query": (
        "MuonClip",
        {"momentum": 0.9, "qk_clip_threshold": 10.0},
        HEADS | {"qk_clip": "query"},
        ADAM,
    ),
    "muon_clip_key": (
        "MuonClip",
        {"momentum": 0.9, "qk_clip_threshold": 10.0},
        HEADS | {"qk_clip": "key"},
        ADAM,
    ),
    "muon_clip_query_rotary": (
        "MuonClip",
        {"momentum": 0.9, "qk_clip_threshold": 10.0},
        HEADS | {"qk_clip": "query_rotary"},
        ADAM,
    ),
}

# key: the arguments of torch's Muon, for w
TORCH_CASES = {
    "muon": {"lr": 0.05, "weight_decay": 0.1},
    "muon_plain": {"lr": 0.05, "weight_decay": 0.0, "momentum": 0.8, "nesterov": False},
    "muon_rms": {"lr": 0.05, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
}


def in_double():
    """Makes pytorch_optimizer orthogonalise in float64, without a number beside the norm."""
    name = "zero_power_via_newton_schulz_5"
    inner = getattr(importlib.import_module("pytorch_optimizer.optimizer.utils.matrix"), name)
    exact = functools.partial(inner, dtype=torch.float64, eps=0.0)

    def called(*args, dtype=None, eps=None, **kwargs):
        return exact(*args, **kwargs)

    for key, module in list(sys.modules.items()):
        if key.startswith("pytorch_optimizer") and hasattr(module, name):
            setattr(module, name, called)


def logits(w):
    """Something for three heads [2, 1] that grows as their weights do; w [3, 2]."""
    return 40 * (w.detach() ** 2).sum(1)


def trajectory(name, arguments, of_w, of_b):
    """The trajectory [61, 8] of one case."""
    turn = {"w": lambda x: x.T.copy(), "b": lambda x: x.copy()}
    start = problem.split(problem.start())
    ps = {key: torch.nn.Parameter(torch.tensor(turn[key](leaf))) for key, leaf in start.items()}
    groups = [{"params": [ps["w"]]} | of_w, {"params": [ps["b"]]} | of_b]
    make = getattr(importlib.import_module("pytorch_optimizer"), name)
    optimizer = make(groups, **arguments)
    size = 1e6 if name == "SCION" else 1.0
    path = [problem.start()]
    for t in range(problem.STEPS):
        for key, g in problem.split(problem.gradient(path[-1], t)).items():
            ps[key].grad = torch.tensor(size * turn[key](g))
        more = {"attention_max_logits": {"heads": logits(ps["w"])}} if name == "MuonClip" else {}
        optimizer.step(**more)
        path.append(problem.join({key: turn[key](p.detach().numpy()) for key, p in ps.items()}))
    return np.stack(path)


def torch_trajectory(arguments):
    """The trajectory [61, 8] of torch's Muon on w and its AdamW on b."""
    start = problem.split(problem.start())
    w, b = (torch.nn.Parameter(torch.tensor(x)) for x in (start["w"].T.copy(), start["b"].copy()))
    rest = {key: value for key, value in ADAM.items() if key != "use_muon"}
    optimizers = [torch.optim.Muon([w], eps=0.0, **arguments), torch.optim.AdamW([b], **rest)]
    path = [problem.start()]
    with mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
        for t in range(problem.STEPS):
            grads = problem.split(problem.gradient(path[-1], t))
            w.grad, b.grad = torch.tensor(grads["w"].T.copy()), torch.tensor(grads["b"])
            for optimizer in optimizers:
                optimizer.step()
            path.append(problem.join({"w": w.detach().numpy().T, "b": b.detach().numpy()}))
    return np.stack(path)


def record():
    """Returns all recordings, key to array."""
    in_double()
    arrays, cases = {}, {}
    for key, (name, arguments, of_w, of_b) in CASES.items():
        key = f"pytorch_optimizer/{key}"
        arrays[key] = trajectory(name, arguments, of_w, of_b)
        cases[key] = {
            "class": f"pytorch_optimizer.{name}",
            "arguments": arguments,
            "w": of_w,
            "b": of_b,
        }
    for key, arguments in TORCH_CASES.items():
        arrays[f"torch/{key}"] = torch_trajectory(arguments)
        cases[f"torch/{key}"] = {"class": "torch.optim.Muon", "arguments": arguments, "b": ADAM}
    meta = {"versions": VERSIONS, "problem": "tests/oracles/problem.py", "cases": cases}
    return arrays | {"meta": np.array(json.dumps(meta | {"numpy": np.__version__}))}


if __name__ == "__main__":
    for package, version in VERSIONS.items():
        found = importlib.metadata.version(package).split("+")[0]
        if found != version:
            raise SystemExit(f"record_muon_kin: needs {package} {version}, got {found}.")
    importlib.import_module("pytorch_optimizer")
    np.savez_compressed(TARGET, **record())
