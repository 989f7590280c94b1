"""Records trajectories of optimizers of the 2020s on the shared problem, in float64.

In an environment with torch==2.13.0, pytorch_optimizer==4.1.0, timm==1.0.31 and
heavyball==3.2.1: python -m tests.oracles.record_modern torch
and in one with optax==0.2.8: python -m tests.oracles.record_modern optax

Each adds its part to recorded/modern.npz. Keys: `<package>/<case>` is a trajectory [61, 8], `meta`
a JSON string with the versions and, for every key, the class and the arguments that made it.
"""

import importlib
import importlib.metadata
import json
import pathlib
import sys

import numpy as np

from . import problem

TARGET = pathlib.Path(__file__).parent / "recorded" / "modern.npz"
RATE = 0.05
FALLING = {"rates": [RATE * 0.96**t for t in range(problem.STEPS)]}


def curvature(t):
    """The estimates of the diagonal of the Hessian that Sophia is given: some are negative."""
    return np.diag(problem.H) * (1.0 + 1.5 * np.sin(3.0 * t + np.arange(8)))


# case: (package, module, class, keyword arguments, how it is run)
TORCH = {
    "ademamix": ("pytorch_optimizer", "AdEMAMix", {"lr": RATE, "betas": (0.9, 0.99, 0.995)}, {}),
    "ademamix_decay": (
        "pytorch_optimizer",
        "AdEMAMix",
        {
            "lr": RATE,
            "betas": (0.8, 0.95, 0.99),
            "alpha": 3.0,
            "eps": 1e-3,
            "weight_decay": 0.1,
            "weight_decouple": True,
        },
        {},
    ),
    "ademamix_warmup": (
        "pytorch_optimizer",
        "AdEMAMix",
        {"lr": RATE, "betas": (0.9, 0.99, 0.999), "t_alpha_beta3": 40},
        {},
    ),
    "madgrad": ("pytorch_optimizer", "MADGRAD", {"lr": RATE, "eps": 1e-3}, {}),
    "madgrad_l2": (
        "pytorch_optimizer",
        "MADGRAD",
        {"lr": RATE, "momentum": 0.8, "eps": 1e-6, "weight_decay": 0.1},
        {},
    ),
    "madgrad_plain": ("pytorch_optimizer", "MADGRAD", {"lr": RATE, "momentum": 0.0}, {}),
    "timm_madgrad": ("timm.optim.madgrad", "MADGRAD", {"lr": RATE, "eps": 1e-3}, {}),
    "sophia": (
        "pytorch_optimizer",
        "SophiaH",
        {
            "lr": 5.0,
            "betas": (0.9, 0.95),
            "p": 0.01,
            "update_period": 1,
            "eps": 0.02,
            "weight_decay": 0.01,
        },
        {"hessian": True},
    ),
    "timm_mars": (
        "timm.optim.mars",
        "Mars",
        {
            "lr": RATE,
            "betas": (0.9, 0.99),
            "gamma": 0.1,
            "eps": 1e-3,
            "weight_decay": 0.1,
            "optimize_1d": True,
        },
        {},
    ),
    "timm_cautious_adamw": (
        "timm.optim.adamw",
        "AdamWLegacy",
        {"lr": RATE, "betas": (0.9, 0.99), "weight_decay": 0.1, "caution": True},
        {},
    ),
    "stable_adamw": (
        "pytorch_optimizer",
        "StableAdamW",
        {"lr": RATE, "betas": (0.9, 0.95), "eps": 1e-3, "weight_decay": 0.1, "kahan_sum": False},
        {},
    ),
    "adam_mini": (
        "pytorch_optimizer",
        "AdamMini",
        {"lr": RATE, "betas": (0.9, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        {"module": True},
    ),
    "lookahead_sgd": (
        "pytorch_optimizer",
        "Lookahead",
        {"k": 5, "alpha": 0.5},
        {"over": ("SGD", {"lr": 0.3})},
    ),
    "lookahead_adam": (
        "pytorch_optimizer",
        "Lookahead",
        {"k": 4, "alpha": 0.8},
        {"over": ("Adam", {"lr": RATE})},
    ),
    "timm_adamc": (
        "timm.optim.adamw",
        "AdamWLegacy",
        {"lr": RATE, "betas": (0.9, 0.99), "weight_decay": 0.5, "corrected_weight_decay": True},
        FALLING,
    ),
    "heavyball_cautious_decay": (
        "heavyball",
        "AdamW",
        {
            "lr": RATE,
            "betas": (0.9, 0.99),
            "weight_decay": 0.5,
            "cautious_weight_decay": True,
            "compile_step": False,
        },
        {},
    ),
}

# case: (factory, keyword arguments)
OPTAX = {
    "ademamix": ("contrib.ademamix", {"b1": 0.9, "b2": 0.99, "b3": 0.995, "alpha": 5.0}),
    "ademamix_decay": (
        "contrib.ademamix",
        {
            "b1": 0.8,
            "b2": 0.95,
            "b3": 0.99,
            "alpha": 3.0,
            "eps": 1e-3,
            "eps_root": 1e-3,
            "weight_decay": 0.1,
        },
    ),
    "simplified_ademamix": (
        "contrib.simplified_ademamix",
        {
            "b1": 0.9,
            "b2": 0.95,
            "alpha": 2.0,
            "eps": 1e-3,
            "eps_root": 1e-3,
            "weight_decay": 0.1,
        },
    ),
    "centralize": ("centralize", {}),
    "lookahead": ("lookahead", {"sync_period": 5, "slow_step_size": 0.5}),
    "lookahead_slow": ("lookahead", {"sync_period": 5, "slow_step_size": 0.5}),
}


def tree_path(step):
    """The path [61, 8] of `step(tree of gradients, t) -> tree of parameters`."""
    path = [problem.start()]
    for t in range(problem.STEPS):
        path.append(problem.join(step(problem.split(problem.gradient(path[-1], t)), t)))
    return np.stack(path)


def torch_path(module, name, arguments, run):
    import torch

    start = problem.split(problem.start())
    weights = {k: torch.nn.Parameter(torch.tensor(leaf)) for k, leaf in start.items()}
    make = getattr(importlib.import_module(module), name)
    if "over" in run:
        inner, inner_arguments = run["over"]
        inner = getattr(torch.optim, inner)(weights.values(), **inner_arguments)
        optimizer = make(inner, **arguments)
    elif run.get("module"):
        holder = torch.nn.Module()
        for key, weight in weights.items():
            holder.register_parameter(key, weight)
        optimizer = make(holder, **arguments)
    else:
        optimizer = make([{"params": list(weights.values()), **run.get("group", {})}], **arguments)

    def step(grads, t):
        for key, g in grads.items():
            weights[key].grad = torch.tensor(g)
        for group in optimizer.param_groups if "rates" in run else ():
            group["lr"] = run["rates"][t]
        if run.get("hessian"):
            estimate = problem.split(curvature(t))
            optimizer.step(hessian=[torch.tensor(estimate[key]) for key in weights])
        else:
            optimizer.step()
        return {key: w.detach().numpy() for key, w in weights.items()}

    return tree_path(step)


def optax_path(case, name, arguments):
    import jax

    jax.config.update("jax_enable_x64", True)
    import optax

    make = optax
    for part in name.split("."):
        make = getattr(make, part)
    if case == "centralize":
        tx = optax.chain(make(), optax.sgd(0.3))
    elif name == "lookahead":
        tx = make(optax.sgd(0.3), **arguments)
    else:
        tx = make(RATE, **arguments)
    params = jax.tree.map(jax.numpy.asarray, problem.split(problem.start()))
    if name == "lookahead":
        params = optax.LookaheadParams.init_synced(params)
    state, slow = tx.init(params), [problem.start()]

    def step(grads, t):
        nonlocal params, state
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        slow.append(problem.join(params.slow if name == "lookahead" else params))
        return params.fast if name == "lookahead" else params

    path = tree_path(step)
    return np.stack(slow) if case == "lookahead_slow" else path


def version_of(module):
    package = module.split(".")[0]
    return {package: importlib.metadata.version(package)}


def record(which):
    """Records the half that this environment can, and keeps the other half of the file."""
    arrays = dict(np.load(TARGET)) if TARGET.exists() else {}
    meta = json.loads(str(arrays.pop("meta", "{}"))) or {"versions": {}, "cases": {}}
    meta |= {"script": "tests/oracles/record_modern.py", "problem": "tests/oracles/problem.py"}
    if which == "torch":
        for case, (module, name, arguments, run) in TORCH.items():
            key = f"torch/{case}"
            arrays[key] = torch_path(module, name, arguments, run)
            meta["cases"][key] = {"class": f"{module}.{name}", "arguments": arguments, "run": run}
            meta["versions"] |= version_of("torch") | version_of(module)
    else:
        for case, (name, arguments) in OPTAX.items():
            key = f"optax/{case}"
            arrays[key] = optax_path(case, name, arguments)
            meta["cases"][key] = {"class": f"optax.{name}", "arguments": arguments}
            meta["versions"] |= version_of("optax")
    return arrays | {"meta": np.array(json.dumps(meta))}


if __name__ == "__main__":
    np.savez_compressed(TARGET, **record(sys.argv[1]))
