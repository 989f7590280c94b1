"""Fixes the targets of the workloads, before anything is judged by them.

    python docs/scripts/workload_targets.py RUNS.jsonl [WORKLOAD...]

AdamW runs with seven rates from 1e-4 to 1e-1 in equal ratios, which rise in a twentieth of the
steps and fall linearly in the last nine tenths, from three seeds. The rate of the least mean final
measure is chosen. The target is the mean measure of its runs after three quarters of the steps, or
the final one if that is higher: three seeds of the best AdamW of seven reach it there on average.
"""

import json
import pathlib
import sys

import numpy as np

import gdjax as gd
from gdjax.lab import scores, workloads
from gdjax.lab.charlm_configs import line
from gdjax.lab.trials import Contestant, trials

RATES = np.geomspace(1e-4, 1e-1, 7).round(8).tolist()
SEEDS = (101, 102, 103)  # none of those that judge
FILE = pathlib.Path(workloads.__file__).with_name("targets.json")


def target(name, path):
    """The target of a workload, the rate that set it, and the digest of its data."""
    problem = workloads.WORKLOADS[name]()
    means = {}
    for rate in RATES:
        schedule = line(rate, problem.steps)
        who = Contestant(f"adamw {rate:g}", problem.steps, gd.adamw(schedule))
        runs = trials(problem, [who], SEEDS, path, measures=scores.MEASURES)
        losses = [run["losses"] for run in runs if len(run["losses"]) == len(runs[0]["at"])]
        if len(losses) == len(SEEDS) and None not in sum(losses, []):
            means[rate] = np.mean(losses, axis=0)
    rate = min(means, key=lambda rate: means[rate][-1])
    mean = means[rate]
    found = max(mean[len(mean) * 3 // 4], mean[-1])
    return {"target": float(f"{found:.4g}"), "rate": rate, "digest": problem.digest}


def main(path, *names):
    """Writes the targets of the workloads named, or of all."""
    known = json.loads(FILE.read_text("utf-8"))
    for name in names or workloads.WORKLOADS:
        known[name] = target(name, path)
        print(name, known[name], flush=True)
        ordered = {name: known[name] for name in workloads.WORKLOADS if name in known}
        FILE.write_text(json.dumps(ordered, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
