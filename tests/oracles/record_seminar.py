"""Records trajectories of torch.optim on the shared problem, in float64.

In an environment with torch==2.13.0 and numpy: python -m tests.oracles.record_seminar

Writes recorded/seminar.npz. Keys: `<case>` is a trajectory [61, 8], `lr/<case>` the
rates of a scheduler for the steps 0 to 60 [61], `meta` a JSON string with package, version,
script, and for every key the class and the keyword arguments that made it. Everything is torch's
public interface; its default implementation on CPU is the one recorded.
"""

import json
import pathlib

import numpy as np
import torch

from . import problem

VERSION = "2.13.0"
TARGET = pathlib.Path(__file__).parent / "recorded" / "seminar.npz"
MOMENTUM = {"lr": 0.05, "momentum": 0.9}
RMSPROP = {"lr": 0.02, "alpha": 0.9, "eps": 1e-8}
ADAM = {"lr": 0.05, "betas": (0.9, 0.999), "eps": 1e-8}

# name of the case: (class in torch.optim, its keyword arguments)
OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.3}),
    "sgd_momentum": ("SGD", MOMENTUM),
    "sgd_nesterov": ("SGD", MOMENTUM | {"nesterov": True}),
    "sgd_momentum_l2": ("SGD", MOMENTUM | {"weight_decay": 0.1}),
    # torch's first step is undampened, v = g; a buffer that starts at 0 would give (1 - tau) g
    "sgd_momentum_dampening_undampened_start": ("SGD", MOMENTUM | {"dampening": 0.1}),
    "adagrad": ("Adagrad", {"lr": 0.3, "eps": 1e-10}),
    "adagrad_initial_0.1": ("Adagrad", {"lr": 0.3, "eps": 1e-10, "initial_accumulator_value": 0.1}),
    "rmsprop": ("RMSprop", RMSPROP),
    "rmsprop_centered": ("RMSprop", RMSPROP | {"centered": True}),
    "rmsprop_momentum": ("RMSprop", RMSPROP | {"momentum": 0.5}),
    "rmsprop_centered_momentum": ("RMSprop", RMSPROP | {"centered": True, "momentum": 0.5}),
    "adam": ("Adam", ADAM),
    "adam_l2": ("Adam", ADAM | {"weight_decay": 0.1}),
    "adam_eps_1e-3": ("Adam", ADAM | {"eps": 1e-3}),
    "adamw_0.01": ("AdamW", ADAM | {"weight_decay": 0.01}),
    "adamw_0.1": ("AdamW", ADAM | {"weight_decay": 0.1}),
    "adamw_betas_0.8_0.95": ("AdamW", ADAM | {"betas": (0.8, 0.95), "weight_decay": 0.01}),
}

# name of the case: (function in torch.nn.utils, its keyword arguments); SGD follows
CLIPS = {
    "clip_value_sgd": ("clip_grad_value_", {"clip_value": 0.2}),
    "clip_norm_sgd": ("clip_grad_norm_", {"max_norm": 0.5}),
}
CLIP_SGD = {"lr": 0.3}
CYCLIC = {"base_lr": 0.001, "max_lr": 0.1, "step_size_up": 8, "cycle_momentum": False}
ONE_CYCLE = {
    "max_lr": 0.1,
    "total_steps": 61,
    "pct_start": 0.3,
    "div_factor": 25.0,
    "final_div_factor": 1e4,
    "cycle_momentum": False,
}
WARM_RESTARTS = {"T_0": 10, "T_mult": 2, "eta_min": 0.001}

# name of the case: (class in torch.optim.lr_scheduler, its keyword arguments); base rate 0.1
BASE_RATE = 0.1
SCHEDULERS = {
    "linear": ("LinearLR", {"start_factor": 0.25, "end_factor": 1.0, "total_iters": 40}),
    "polynomial": ("PolynomialLR", {"total_iters": 50, "power": 2.0}),
    "exponential": ("ExponentialLR", {"gamma": 0.95}),
    "multistep": ("MultiStepLR", {"milestones": [10, 25, 45], "gamma": 0.3}),
    "cosine": ("CosineAnnealingLR", {"T_max": 60, "eta_min": 0.001}),
    "cosine_past_the_end": ("CosineAnnealingLR", {"T_max": 40, "eta_min": 0.001}),
    "cosine_warm_restarts": ("CosineAnnealingWarmRestarts", WARM_RESTARTS),
    "cyclic_triangular": ("CyclicLR", CYCLIC | {"mode": "triangular"}),
    "cyclic_triangular2": ("CyclicLR", CYCLIC | {"mode": "triangular2"}),
    "cyclic_exp_range": ("CyclicLR", CYCLIC | {"mode": "exp_range", "gamma": 0.95}),
    "cyclic_uneven": ("CyclicLR", CYCLIC | {"mode": "triangular", "step_size_down": 12}),
    "one_cycle_cos": ("OneCycleLR", ONE_CYCLE | {"anneal_strategy": "cos"}),
    "one_cycle_cos_three_phase": (
        "OneCycleLR",
        ONE_CYCLE | {"anneal_strategy": "cos", "three_phase": True},
    ),
    "one_cycle_linear": ("OneCycleLR", ONE_CYCLE | {"anneal_strategy": "linear"}),
    "one_cycle_linear_three_phase": (
        "OneCycleLR",
        ONE_CYCLE | {"anneal_strategy": "linear", "three_phase": True},
    ),
}

NOTES = {
    "sgd_momentum_dampening_undampened_start": "first step v = g, then v = mu v + (1 - tau) g",
    "clip_norm_sgd": "torch adds 1e-6 to the norm: g * min(1, max_norm / (norm + 1e-6))",
    "lr/cosine_past_the_end": "the cosine rises again after T_max",
    "lr/one_cycle_cos": "the last rate is reached at step total_steps - 1, the peak at "
    "pct_start * total_steps - 1",
}


def trajectory(name, arguments, clip=lambda parameters: None):
    """Returns the trajectory [61, 8] of one optimizer of torch.optim."""
    tree = problem.split(problem.start())
    parameters = {key: torch.nn.Parameter(torch.tensor(leaf)) for key, leaf in tree.items()}
    optimizer = getattr(torch.optim, name)(parameters.values(), **arguments)
    path = [problem.start()]
    for t in range(problem.STEPS):
        for key, g in problem.split(problem.gradient(path[-1], t)).items():
            parameters[key].grad = torch.tensor(g)
        clip(list(parameters.values()))
        optimizer.step()
        path.append(problem.join({key: p.detach().numpy() for key, p in parameters.items()}))
    return np.stack(path)


def rates(name, arguments):
    """Returns the rates [61] that one scheduler of torch.optim gives to the steps 0 to 60."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    weight.grad = torch.zeros_like(weight)
    optimizer = torch.optim.SGD([weight], lr=BASE_RATE)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)
    sequence = [scheduler.get_last_lr()[0]]
    for _ in range(problem.STEPS):
        optimizer.step()
        scheduler.step()
        sequence.append(scheduler.get_last_lr()[0])
    return np.array(sequence, np.float64)


def record():
    """Returns all recordings, key to array."""
    arrays, cases = {}, {}
    for key, (name, arguments) in OPTIMIZERS.items():
        arrays[key] = trajectory(name, arguments)
        cases[key] = {"class": f"torch.optim.{name}", "arguments": arguments}
    for key, (name, arguments) in CLIPS.items():
        function = getattr(torch.nn.utils, name)
        clip = lambda parameters, f=function, a=arguments: f(parameters, **a)  # noqa: E731
        arrays[key] = trajectory("SGD", CLIP_SGD, clip)
        cases[key] = {"function": f"torch.nn.utils.{name}", "arguments": arguments}
        cases[key] |= {"then": {"class": "torch.optim.SGD", "arguments": CLIP_SGD}}
    for key, (name, arguments) in SCHEDULERS.items():
        arrays["lr/" + key] = rates(name, arguments)
        cases["lr/" + key] = {"class": f"torch.optim.lr_scheduler.{name}", "arguments": arguments}
        cases["lr/" + key] |= {"base_rate": BASE_RATE}
    for key, note in NOTES.items():
        cases[key]["note"] = note
    meta = {
        "package": "torch",
        "version": torch.__version__,
        "numpy": np.__version__,
        "script": "tests/oracles/record_seminar.py",
        "problem": "tests/oracles/problem.py",
        "cases": cases,
    }
    return arrays | {"meta": np.array(json.dumps(meta))}


if __name__ == "__main__":
    if torch.__version__.split("+")[0] != VERSION:
        raise SystemExit(f"record_seminar: needs torch {VERSION}, got {torch.__version__}.")
    np.savez_compressed(TARGET, **record())
