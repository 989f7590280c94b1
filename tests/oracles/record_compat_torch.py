"""Records torch.optim in full on the shared problem, and its state in the middle of a run.

In an environment with torch==2.13.0 and numpy: python -m tests.oracles.record_compat_torch

Writes recorded/compat_torch.npz. Keys: `<case>` is a trajectory [61, 8]; what `state_dict()` holds
for a parameter after 20 steps is `state/<case>/<index>/<key>`; `lr/<case>` are the rates of a
scheduler for the steps 0 to 60; `average/ASGD` the averages of ASGD [61, 8]; `meta` a JSON string
with version and arguments. The parameters are, in this order, w [2, 3] and b [2]. torch's default
dtype is float64 here: some optimizers keep scalars of it (the rate of ASGD, the momenta of NAdam).
"""

import json
import pathlib

import numpy as np
import torch

from . import problem

VERSION = "2.13.0"
TARGET = pathlib.Path(__file__).parent / "recorded" / "compat_torch.npz"
SAVED_AT = 20
L2 = {"weight_decay": 0.1}

# name of the case: (class in torch.optim, its keyword arguments); first with torch's defaults
OPTIMIZERS = {
    **{
        name: (name, {})
        for name in (
            "SGD Adam AdamW NAdam RAdam Adamax Adadelta Adagrad RMSprop Rprop ASGD Adafactor"
        ).split()
    },
    "SGD-momentum": ("SGD", {"lr": 0.05, "momentum": 0.9} | L2),
    "SGD-nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "maximize": True}),
    "SGD-dampening": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3} | L2),
    "Adam-amsgrad": ("Adam", {"lr": 0.05, "betas": [0.8, 0.9], "eps": 1e-3, "amsgrad": True} | L2),
    "Adam-decoupled": ("Adam", {"lr": 0.05, "decoupled_weight_decay": True} | L2),
    "AdamW-amsgrad": ("AdamW", {"lr": 0.05, "amsgrad": True, "betas": [0.7, 0.8]}),
    "NAdam-decay": ("NAdam", {"lr": 0.05, "eps": 1e-3, "momentum_decay": 0.1} | L2),
    "NAdam-decoupled": ("NAdam", {"lr": 0.05, "decoupled_weight_decay": True} | L2),
    "RAdam-eps": ("RAdam", {"lr": 0.05, "betas": [0.8, 0.95], "eps": 1e-2} | L2),
    "RAdam-decoupled": ("RAdam", {"lr": 0.05, "decoupled_weight_decay": True} | L2),
    "Adamax-eps": ("Adamax", {"lr": 0.05, "betas": [0.8, 0.9], "eps": 1e-2} | L2),
    "Adadelta-rho": ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-4} | L2),
    "Adagrad-decay": (
        "Adagrad",
        {"lr": 0.3, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-3} | L2,
    ),
    "RMSprop-centered": (
        "RMSprop",
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "centered": True} | L2,
    ),
    "RMSprop-momentum": ("RMSprop", {"lr": 0.02, "momentum": 0.9}),
    "Rprop-etas": ("Rprop", {"lr": 0.1, "etas": [0.4, 1.5], "step_sizes": [1e-2, 0.2]}),
    "ASGD-early": ("ASGD", {"lr": 0.1, "lambd": 0.02, "alpha": 0.6, "t0": 10} | L2),
    "Adafactor-lr": (
        "Adafactor",
        {"lr": 0.3, "beta2_decay": -0.6, "eps": [1e-2, 0.1], "d": 1.05} | L2,
    ),
}

CLIPS = {
    "clip_grad_norm_": {"max_norm": 0.5},
    "clip_grad_norm_-inf": {"max_norm": 0.3, "norm_type": float("inf")},
    "clip_grad_norm_-3": {"max_norm": 0.3, "norm_type": 3.0},
}
CLIP_SGD = {"lr": 0.3}
BASE_RATE = 0.1
CONSTANT = ("ConstantLR", {"factor": 0.3, "total_iters": 15})
EXPONENTIAL = ("ExponentialLR", {"gamma": 0.95})
# name of the case: (class in torch.optim.lr_scheduler, its keyword arguments), or several of them
SCHEDULERS = {
    "LambdaLR": ("LambdaLR", {"lr_lambda": lambda step: 1 / (1 + 0.1 * step)}),
    "StepLR": ("StepLR", {"step_size": 7, "gamma": 0.5}),
    "MultiStepLR": ("MultiStepLR", {"milestones": [10, 25, 25, 45], "gamma": 0.3}),
    "ConstantLR": ("ConstantLR", {}),
    "LinearLR": ("LinearLR", {}),
    "PolynomialLR": ("PolynomialLR", {}),
    "ExponentialLR": EXPONENTIAL,
    "CosineAnnealingLR": ("CosineAnnealingLR", {"T_max": 25, "eta_min": 0.01}),
    "CosineAnnealingWarmRestarts": ("CosineAnnealingWarmRestarts", {"T_0": 8}),
    "CyclicLR": ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 6}),
    "OneCycleLR": ("OneCycleLR", {"max_lr": 0.2, "epochs": 6, "steps_per_epoch": 11}),
    "OneCycleLR-three": ("OneCycleLR", {"max_lr": 0.2, "total_steps": 61, "three_phase": True}),
    "OneCycleLR-linear": (
        "OneCycleLR",
        {"max_lr": 0.2, "total_steps": 61, "anneal_strategy": "linear"},
    ),
    "ChainedScheduler": [CONSTANT, EXPONENTIAL],
    "SequentialLR": [CONSTANT, EXPONENTIAL],
}
SEQUENTIAL_AT = [20]


def run(name, arguments, clip=lambda parameters: None):
    """The trajectory [61, 8], the optimizer's states per step as (state_dict, averages)."""
    tree = problem.split(problem.start())
    parameters = {key: torch.nn.Parameter(torch.tensor(leaf)) for key, leaf in tree.items()}
    optimizer = getattr(torch.optim, name)(parameters.values(), **arguments)
    path, saved, averages = [problem.start()], None, [problem.start()]
    for t in range(problem.STEPS):
        if t == SAVED_AT:
            # copies: the tensors of a state_dict are those that the next steps change
            state = optimizer.state_dict()["state"]
            saved = {
                i: {k: np.array(torch.as_tensor(v).numpy()) for k, v in s.items() if v is not None}
                for i, s in state.items()
            }
        for key, g in problem.split(problem.gradient(path[-1], t)).items():
            parameters[key].grad = torch.tensor(g)
        clip(list(parameters.values()))
        optimizer.step()
        path.append(problem.join({key: p.detach().numpy() for key, p in parameters.items()}))
        if name == "ASGD":
            averages.append(
                problem.join({k: optimizer.state[p]["ax"].numpy() for k, p in parameters.items()})
            )
    return np.stack(path), saved, np.stack(averages)


def rates(key, recipe):
    """The rates [61] that a scheduler gives to the steps 0 to 60."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    weight.grad = torch.zeros_like(weight)
    momentum = {"momentum": 0.9} if key.startswith(("Cyclic", "OneCycle")) else {}
    optimizer = torch.optim.SGD([weight], lr=BASE_RATE, **momentum)
    make = lambda name, arguments: getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)  # noqa: E731
    if isinstance(recipe, list):
        parts = [make(*part) for part in recipe]
        more = [SEQUENTIAL_AT] if key == "SequentialLR" else []
        scheduler = (
            torch.optim.lr_scheduler.SequentialLR(optimizer, parts, *more)
            if more
            else torch.optim.lr_scheduler.ChainedScheduler(parts, optimizer)
        )
    else:
        scheduler = make(*recipe)
    sequence = [optimizer.param_groups[0]["lr"]]
    for _ in range(problem.STEPS):
        optimizer.step()
        scheduler.step()
        sequence.append(optimizer.param_groups[0]["lr"])
    return np.array(sequence, np.float64)


def record():
    """All recordings, key to array."""
    arrays, cases = {}, {}
    for key, (name, arguments) in OPTIMIZERS.items():
        arrays[key], saved, averages = run(name, arguments)
        cases[key] = {"class": name, "arguments": arguments}
        for index, entries in (saved or {}).items():
            arrays |= {f"state/{key}/{index}/{k}": v for k, v in entries.items()}
        if name == "ASGD":
            arrays[f"average/{key}"] = averages
    for key, arguments in CLIPS.items():
        clip = lambda ps, a=arguments: torch.nn.utils.clip_grad_norm_(ps, **a)  # noqa: E731
        arrays[key], _, _ = run("SGD", CLIP_SGD, clip)
        cases[key] = {"function": "clip_grad_norm_", "arguments": str(arguments), "then": CLIP_SGD}
    for key, recipe in SCHEDULERS.items():
        arrays["lr/" + key] = rates(key, recipe)
        cases["lr/" + key] = {"arguments": str(recipe) if key != "LambdaLR" else "1/(1 + 0.1 t)"}
    meta = {
        "package": "torch",
        "version": torch.__version__,
        "numpy": np.__version__,
        "script": "tests/oracles/record_compat_torch.py",
        "saved_at": SAVED_AT,
        "base_rate": BASE_RATE,
        "cases": cases,
    }
    return arrays | {"meta": np.array(json.dumps(meta))}


if __name__ == "__main__":
    if torch.__version__.split("+")[0] != VERSION:
        raise SystemExit(f"record_compat_torch: needs torch {VERSION}, got {torch.__version__}.")
    torch.set_default_dtype(torch.float64)
    np.savez_compressed(TARGET, **record())
