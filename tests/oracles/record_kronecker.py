"""Records PSGD Kron and the factors of KL-Shampoo from other packages, in float64.

In an environment with jax==0.10.2:
    python -m tests.oracles.record_kronecker noise
and then in one with torch==2.13.0, kron-torch==0.3.3 and heavyball==3.2.1:
    python -m tests.oracles.record_kronecker torch

Each adds its part to recorded/kronecker.npz. Keys: `noise/<tensor>` is what `scale_by_kron` draws
in the 60 steps with key 0; `kron_torch/<case>` a trajectory [61, 8] with that noise given to
torch.randn_like; `heavyball/rows` and `heavyball/columns` the factors of the covariance of w after
12 steps, divided by their largest entries (the package balances them), `heavyball/gradients` the
gradients that made them; `meta` a JSON string with versions and arguments.
"""

import importlib
import importlib.metadata
import json
import pathlib
import sys

import numpy as np

from . import problem

TARGET = pathlib.Path(__file__).parent / "recorded" / "kronecker.npz"

# The rate 0.1 of the preconditioner is fixed in the package.
BASE = {"lr": 0.05, "momentum_into_precond_update": False}
KRON = {
    "half": BASE | {"preconditioner_update_probability": 0.5},
    "always": BASE | {"b1": 0.8, "precond_init_scale": 0.5},
    "one_diag": BASE | {"memory_save_mode": "one_diag", "weight_decay": 0.1},
    "all_diag": BASE | {"memory_save_mode": "all_diag"},
    "clipped": BASE | {"memory_save_mode": "all_diag", "precond_init_scale": 9.0},
    "momentum": {"lr": 0.05},
}
KL = {
    "lr": 0.05,
    "betas": (0.0, 0.95),
    "shampoo_beta": 0.9,
    "precondition_frequency": 1000,
    "init_factor": 0.1,
    "dampening": 0.0,
    "weight_decay": 0.0,
    "merge_dims": False,
    "storage_dtype": "float64",
    "compile_step": False,
}
KL_STEPS = 12


def noise():
    import jax

    from .rules.kronecker import drawn

    jax.config.update("jax_enable_x64", True)
    steps = range(problem.STEPS)
    arrays = {
        f"noise/{name}": np.stack([drawn(name, shape, t).reshape(shape) for t in steps])
        for name, shape in problem.SHAPES.items()
    }
    return arrays, {"noise": {"version": jax.__version__}}


def torch_path(make, after=lambda step: None):
    """The path [61, 8] and the optimizer `make(list of parameters)`."""
    import torch

    start = problem.split(problem.start())
    weights = {name: torch.nn.Parameter(torch.tensor(x)) for name, x in start.items()}
    optimizer = make(list(weights.values()))
    path = [problem.start()]
    for t in range(problem.STEPS):
        after(t)
        for name, g in problem.split(problem.gradient(path[-1], t)).items():
            weights[name].grad = torch.tensor(g)
        optimizer.step()
        path.append(problem.join({name: w.detach().numpy() for name, w in weights.items()}))
    return np.stack(path)


def kron_path(arguments, drawn):
    import torch

    make = importlib.import_module("kron_torch").Kron
    now = {}

    def replayed(x):
        name = next(name for name, shape in problem.SHAPES.items() if shape == tuple(x.shape))
        return torch.tensor(drawn[f"noise/{name}"][now["t"]], dtype=x.dtype)

    old, torch.randn_like = torch.randn_like, replayed
    try:
        return torch_path(
            lambda weights: make(weights, precond_dtype=torch.float64, **arguments),
            lambda t: now.update(t=t),
        )
    finally:
        torch.randn_like = old


def covariances(arguments):
    """The factors that heavyball's KL-Shampoo has after some steps, and the gradients."""
    import torch

    importlib.import_module("heavyball.utils").compile_mode = None
    weight = torch.nn.Parameter(torch.zeros(problem.SHAPES["w"], dtype=torch.float64))
    optimizer = importlib.import_module("heavyball").KLShampoo([weight], **arguments)
    gradients = [problem.split(problem.gradient(problem.start(), t))["w"] for t in range(KL_STEPS)]
    for g in gradients:
        weight.grad = torch.tensor(g)
        optimizer.step()
    state = optimizer.state[weight][0]
    rows, columns = (x[0].numpy() for x in next(v for k, v in state.items() if "_GG_" in k))
    # The first step only makes the state.
    return {
        "heavyball/rows": rows / rows.max(),
        "heavyball/columns": columns / columns.max(),
        "heavyball/gradients": np.stack(gradients[1:]),
    }


def torch_part():
    import torch

    torch._dynamo.config.disable = True
    drawn = np.load(TARGET)
    arrays = {f"kron_torch/{case}": kron_path(a, drawn) for case, a in KRON.items()}
    cases = {
        f"kron_torch/{case}": {"class": "kron_torch.Kron", "arguments": a}
        for case, a in KRON.items()
    }
    arrays |= covariances(KL)
    cases["heavyball"] = {"class": "heavyball.KLShampoo", "arguments": KL}
    for name in ("torch", "kron-torch", "heavyball"):
        cases[name] = {"version": importlib.metadata.version(name)}
    return arrays, cases


if __name__ == "__main__":
    arrays, cases = {"noise": noise, "torch": torch_part}[sys.argv[1]]()
    old = dict(np.load(TARGET)) if TARGET.exists() else {}
    meta = json.loads(str(old.pop("meta", "{}"))) | cases
    np.savez_compressed(TARGET, **(old | arrays), meta=np.array(json.dumps(meta)))
