"""Records trajectories of the authors' ScheduleFree+ AdamC on the shared problem, in float64.

In an environment with torch==2.13.0 and numpy, and a checkout of
https://github.com/facebookresearch/schedule_free at the commit below in PYTHONPATH:
python -m tests.oracles.record_schedule_free_plus

Writes recorded/schedule_free_plus.npz. Keys: `schedule_free/<case>` is a trajectory [61, 8] of the
points that are trained, `schedule_free/<case>_answer` that of the points of `optimizer.eval()`, and
`meta` a JSON string with the versions and for every key the keyword arguments.

A positive number is added to the loss: its minimum is below 0, and the step size takes 0 for it.
"""

import json
import pathlib

import numpy as np
import torch
from schedulefree.adamc_schedulefree_plus_paper import AdamCScheduleFreePlusPaper

from . import problem

COMMIT = "70785b53e778d0e872c0bbb75ff4ee54ee10c291"
TORCH = "2.13.0"
TARGET = pathlib.Path(__file__).parent / "recorded" / "schedule_free_plus.npz"
ABOVE = 2.0  # added to the loss

CASES = {
    "defaults": {},
    # polyak_beta stays 0: the file puts the bias-corrected mean of the norms in place of the mean,
    # and so corrects it again in the next step.
    "all": {
        "lr": 0.4,
        "betas": (0.8, 0.9),
        "sf_beta1": 0.7,
        "eps": 1e-3,
        "weight_decay": 0.5,
        "r": 1.5,
        "c_warmup": 7,
        "sf_beta1_anneal_steps": 40,
        "sf_beta1_max": 0.9,
        "weight_lr_power": 1.5,
    },
}


def trajectories(arguments):
    """Returns the points trained and the points to evaluate at, each [61, 8]."""
    tree = problem.split(problem.start())
    parameters = {key: torch.nn.Parameter(torch.tensor(leaf)) for key, leaf in tree.items()}
    optimizer = AdamCScheduleFreePlusPaper(parameters.values(), **arguments)
    optimizer.train()

    def now():
        return problem.join({key: p.detach().numpy() for key, p in parameters.items()})

    trained, answers = [now()], [now()]
    for t in range(problem.STEPS):
        for key, g in problem.split(problem.gradient(trained[-1], t)).items():
            parameters[key].grad = torch.tensor(g)
        optimizer.step_func(problem.loss(trained[-1], t) + ABOVE)
        trained.append(now())
        optimizer.eval()
        answers.append(now())
        optimizer.train()
    return np.stack(trained), np.stack(answers)


def record():
    """Returns all recordings, key to array."""
    arrays, cases = {}, {}
    for case, arguments in CASES.items():
        key = f"schedule_free/{case}"
        arrays[key], arrays[key + "_answer"] = trajectories(arguments)
        cases[key] = {"class": "AdamCScheduleFreePlusPaper", "arguments": arguments}
        cases[key + "_answer"] = cases[key] | {"points": "of optimizer.eval()"}
    meta = {
        "packages": {"torch": torch.__version__},
        "commit": f"facebookresearch/schedule_free {COMMIT}",
        "numpy": np.__version__,
        "script": "tests/oracles/record_schedule_free_plus.py",
        "problem": "tests/oracles/problem.py",
        "cases": cases,
    }
    return arrays | {"meta": np.array(json.dumps(meta))}


if __name__ == "__main__":
    if (found := torch.__version__.split("+")[0]) != TORCH:
        raise SystemExit(f"record_schedule_free_plus: needs torch {TORCH}, got {found}.")
    np.savez_compressed(TARGET, **record())
