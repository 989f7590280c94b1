"""Adam's kin (NAdam to Adan), descent by signs, Rprop, and optimistic descent."""

from __future__ import annotations

from typing import Any

import gdjax as gd

from ..oracles.rules import adam_kin as rules
from ..row import Agree, Row, real, recorded, rule

ROWS = [
    Row(gd.nadam(0.1, b1=0.8)),
    Row(gd.nadamw(0.1, b2=0.99, weight_decay=0.01)),
    Row(gd.adam(0.1, nesterov=True), label="adam-nesterov"),
    Row(gd.adamax(0.1, b1=0.8)),
    Row(gd.adamaxw(0.1, b2=0.99, weight_decay=0.01)),
    Row(gd.amsgrad(0.1, b1=0.8)),
    Row(gd.amsgrad(0.1, bias_correction_mu=False, bias_correction_nu=False), label="amsgrad-paper"),
    Row(gd.amsgrad(0.1, bias_correction_nu=False, bias_correction_max=True), label="amsgrad-torch"),
    Row(gd.adabelief(0.1, b1=0.8)),
    Row(gd.adabelief(0.1, nesterov=True), label="adabelief-nesterov"),
    Row(gd.acprop(0.05, b1=0.8, weight_decay=0.01)),
    Row(gd.yogi(0.1, b1=0.8)),
    Row(gd.radam(0.1, b2=0.99)),
    Row(gd.radam(0.1, b2=0.9, threshold=3.0, nesterov=True), label="radam-nesterov"),
    Row(gd.adadelta(decay=0.8)),
    Row(gd.adadelta(0.5, eps=1e-3, weight_decay=0.1), label="adadelta-rate"),
    Row(gd.optimistic_gradient_descent(0.1, beta=0.5)),
    Row(gd.optimistic_adam(0.1, b1=0.8)),
    Row(gd.optimistic_adam(0.1, 0.05, nesterov=True), label="optimistic_adam-nesterov"),
    Row(gd.optimistic_adam_v2(0.1, beta=0.5)),
    Row(gd.novograd(0.05, b1=0.8, b2=0.3, weight_decay=0.01)),
    Row(gd.rprop(0.1, eta_minus=0.4)),
    Row(gd.lion(0.05, b1=0.8, weight_decay=0.01)),
    Row(gd.sign_sgd(0.05)),
    Row(gd.signum(0.05, b1=0.8)),
    Row(gd.laprop(0.1, b1=0.8)),
    Row(gd.adopt(0.1, b2=0.99)),
    Row(gd.adopt(0.1, nesterov=True, use_clipping=False), label="adopt-nesterov"),
    Row(gd.adan(0.1, b1=0.9, weight_decay=0.01)),
    # transformations
    Row(gd.scale_by_nadam(0.9, 0.99, momentum_decay=0.02)),
    Row(gd.scale_by_adamax(0.9, 0.99)),
    Row(gd.scale_by_amsgrad(0.9, 0.99)),
    Row(gd.scale_by_belief(0.9, 0.99)),
    Row(gd.scale_by_acprop(0.9, 0.99)),
    Row(gd.scale_by_yogi(0.9, 0.99, initial_accumulator_value=1e-3)),
    Row(gd.scale_by_radam(0.9, 0.99)),
    Row(gd.scale_by_adadelta(0.9)),
    Row(gd.scale_by_optimistic_gradient(1.0, 0.5)),
    Row(gd.scale_by_novograd(0.9, 0.3)),
    Row(gd.scale_by_rprop(0.1)),
    Row(gd.scale_by_lion(0.9, 0.99)),
    Row(gd.scale_by_sign()),
    Row(gd.scale_by_laprop(0.9, 0.99)),
    Row(gd.scale_by_adopt(0.9, 0.99), descends=False),  # its first step tells no sign
    Row(gd.scale_by_adan(0.9, 0.92, 0.99)),
    Row(gd.proximal_decay(0.1)),
]

# Each number is far enough from its default, and eps large enough, to be seen in the paths.
BETAS: dict[str, Any] = {"b1": 0.8, "b2": 0.95, "eps": 1e-2}
ROOT = BETAS | {"eps_root": 1e-3}


def halving(t):
    return 0.05 * 0.5 ** (real(t) / 20)


def at_rate(rate, *parts):
    return gd.chain(*parts, gd.scale_by_learning_rate(rate))


TORCH_ROWS = {
    "torch/nadam": at_rate(0.05, gd.scale_by_nadam(**BETAS, momentum_decay=0.02)),
    "torch/nadamw": at_rate(0.05, gd.scale_by_nadam(**BETAS), gd.add_decayed_weights(0.1)),
    "torch/adamax": gd.adamax(0.05, **BETAS),
    "torch/amsgrad": gd.amsgrad(0.05, **BETAS, bias_correction_nu=False, bias_correction_max=True),
    "torch/radam": gd.radam(0.05, 0.8, 0.95, 0.0),
    "torch/adadelta": gd.adadelta(0.5, 0.8, 1e-2, 0.1),
    "torch/rprop": gd.rprop(0.1),
    "torch/rprop_bounds": gd.rprop(0.1, 0.4, 1.5, 0.05, 0.2),
    "pytorch_optimizer/adabelief": gd.adabelief(0.05, **BETAS, eps_root=1e-2),
    "pytorch_optimizer/yogi": at_rate(
        0.05, gd.scale_by_yogi(**BETAS, initial_accumulator_value=0.0)
    ),
    "pytorch_optimizer/lion": gd.lion(0.05, 0.8, 0.95, weight_decay=0.1),
    "pytorch_optimizer/adopt": gd.adopt(0.05, **BETAS),
    "pytorch_optimizer/adan": gd.adan(0.05, 0.9, 0.8, 0.95, 1e-2, 0.0, 0.1),
    "pytorch_optimizer/adan_defaults": gd.adan(0.05, eps_root=0.0),
    "pytorch_optimizer/sign_sgd": gd.sign_sgd(0.05),
    "pytorch_optimizer/signum": gd.signum(0.05, 0.8),
    "torch_optimizer/adabelief": gd.adabelief(0.05, **BETAS, eps_root=1e-2),
    "torch_optimizer/yogi": at_rate(0.05, gd.scale_by_yogi(**BETAS, initial_accumulator_value=0.0)),
    "torch_optimizer/novograd": gd.novograd(0.05, 0.8, 0.25, 1e-2, weight_decay=0.1),
    "torch_optimizer/radam": gd.radam(0.05, 0.8, 0.95, 0.0),
    "lion_pytorch/lion": gd.lion(0.05, 0.8, 0.95, weight_decay=0.1),
    "heavyball/laprop": gd.laprop(0.05, 0.8, 0.95, 0.0),
    "keras/nadam": at_rate(0.05, gd.scale_by_nadam(**BETAS, momentum_decay=1.0)),
    "keras/adamax": gd.adamax(0.05, 0.8, 0.95, 0.0),
    "keras/lion": gd.lion(0.05, 0.8, 0.95, weight_decay=0.0),
}
OPTAX_ROWS = {
    "optax/nadam": gd.nadam(0.05, **ROOT),
    "optax/nadamw": gd.nadamw(0.05, **ROOT, weight_decay=0.1),
    "optax/adamaxw": gd.adamaxw(0.05, **BETAS, weight_decay=0.1),
    "optax/amsgrad": gd.amsgrad(0.05, **ROOT),
    "optax/amsgrad_paper": gd.amsgrad(
        0.05, **ROOT, bias_correction_mu=False, bias_correction_nu=False
    ),
    "optax/adabelief": gd.adabelief(0.05, **ROOT),
    "optax/adabelief_nesterov": gd.adabelief(0.05, **ROOT, nesterov=True),
    "optax/acprop": at_rate(0.05, gd.scale_by_acprop(**ROOT)),
    "optax/yogi": at_rate(0.05, gd.scale_by_yogi(**ROOT, initial_accumulator_value=0.0)),
    "optax/radam": gd.radam(0.05, **ROOT, threshold=6.0),
    "optax/radam_nesterov": gd.radam(0.05, **ROOT, nesterov=True),
    "optax/adadelta": gd.adadelta(0.5, 0.8, 1e-2, 0.1),
    "optax/optimistic_gradient": gd.optimistic_gradient_descent(0.2, 0.7, 0.4),
    "optax/optimistic_adam": gd.optimistic_adam(0.05, 0.03, **ROOT),
    "optax/optimistic_adam_nesterov": gd.optimistic_adam_v2(
        0.05, alpha=0.7, beta=0.4, **ROOT, nesterov=True
    ),
    "optax/novograd": gd.novograd(0.05, 0.8, 0.3, 1e-2, 1e-3, 0.1),
    "optax/lion": gd.lion(0.05, 0.8, 0.95, weight_decay=0.1),
    "optax/sign_sgd": gd.sign_sgd(0.05),
    "optax/signum": gd.signum(0.05, 0.8),
    "optax/adopt": gd.adopt(0.05, **BETAS),
    "optax/adopt_nesterov": gd.adopt(0.05, **BETAS, nesterov=True),
    "optax/adopt_unclipped": gd.adopt(0.05, **BETAS, use_clipping=False),
    "optax/adan_half": gd.adan(0.05, 0.9, 0.5, 0.95, 1e-2, 1e-3),
}
NOT_HERE = {
    "pytorch_optimizer/laprop": "has small constants of its own in both divisions: 2e-8 apart",
    "pytorch_optimizer/yogi_initial": "starts the mean gradient at the value of v; the paper at 0",
    "pytorch_optimizer/novograd": "corrects m and v for a start at 0; the paper's starts at ‖g‖²",
}


def numpy_rows():
    eta, lam = 0.05, 0.1
    decayed = gd.add_decayed_weights(lam)
    nadamw = gd.nadamw(halving, **ROOT, weight_decay=lam)
    adamaxw = gd.adamaxw(halving, **BETAS, weight_decay=lam)
    acprop = gd.acprop(halving, **ROOT, weight_decay=lam)
    adan = gd.adan(halving, 0.9, 0.8, 0.95, 1e-2, 1e-3, lam)
    adan_rule = {"betas": (0.1, 0.2, 0.05), "eps": 1e-2, "eps_root": 1e-3}
    return {
        "nadam": (gd.nadam(eta), rule(rules.nadam, eta=eta)),
        "nadam-root": (gd.nadam(eta, **ROOT), rule(rules.nadam, eta=eta, **ROOT)),
        "adam-nesterov": (
            gd.adam(eta, **ROOT, nesterov=True),
            rule(rules.nadam, eta=eta, **ROOT),
        ),
        "adamw-nesterov": (
            gd.adamw(eta, **ROOT, weight_decay=lam, nesterov=True),
            rule(rules.nadam, eta=eta, **ROOT, lam=lam),
        ),
        "nadamw": (nadamw, rule(rules.nadam, eta=halving, **ROOT, lam=lam)),
        "nadam-scheduled": (
            at_rate(eta, gd.scale_by_nadam()),
            rule(rules.nadam_scheduled, eta=eta),
        ),
        "nadam-scheduled-fast": (
            at_rate(halving, gd.scale_by_nadam(**BETAS, momentum_decay=0.5)),
            rule(rules.nadam_scheduled, eta=halving, **BETAS, psi=0.5),
        ),
        "adamax": (gd.adamax(eta), rule(rules.adamax, eta=eta)),
        "adamax-eps": (gd.adamax(halving, **BETAS), rule(rules.adamax, eta=halving, **BETAS)),
        "adamaxw": (adamaxw, rule(rules.adamax, eta=halving, **BETAS, lam=lam)),
        "amsgrad": (gd.amsgrad(eta), rule(rules.amsgrad, eta=eta)),
        "amsgrad-root": (gd.amsgrad(eta, **ROOT), rule(rules.amsgrad, eta=eta, **ROOT)),
        "amsgrad-paper": (
            gd.amsgrad(eta, **ROOT, bias_correction_mu=False, bias_correction_nu=False),
            rule(rules.amsgrad, eta=eta, **ROOT, form="paper"),
        ),
        "amsgrad-torch": (
            gd.amsgrad(eta, **ROOT, bias_correction_nu=False, bias_correction_max=True),
            rule(rules.amsgrad, eta=eta, **ROOT, form="torch"),
        ),
        "adabelief": (gd.adabelief(eta), rule(rules.adabelief, eta=eta)),
        "adabelief-root": (gd.adabelief(eta, **ROOT), rule(rules.adabelief, eta=eta, **ROOT)),
        "adabelief-nesterov": (
            gd.adabelief(eta, **ROOT, nesterov=True),
            rule(rules.adabelief, eta=eta, **ROOT, nesterov=True),
        ),
        "acprop": (acprop, rule(rules.acprop, eta=halving, **ROOT, lam=lam)),
        "acprop-part": (
            at_rate(eta, gd.scale_by_acprop(), decayed),
            rule(rules.acprop, eta=eta, lam=lam),
        ),
        "yogi": (gd.yogi(eta), rule(rules.yogi, eta=eta)),
        "yogi-betas": (gd.yogi(eta, **BETAS), rule(rules.yogi, eta=eta, **BETAS)),
        "yogi-initial": (
            at_rate(eta, gd.scale_by_yogi(**ROOT, initial_accumulator_value=0.1)),
            rule(rules.yogi, eta=eta, **ROOT, initial=0.1),
        ),
        "radam": (gd.radam(eta), rule(rules.radam, eta=eta)),
        "radam-root": (gd.radam(eta, **ROOT), rule(rules.radam, eta=eta, **ROOT)),
        "radam-least-threshold": (
            gd.radam(eta, **ROOT, threshold=0.0),
            rule(rules.radam, eta=eta, **ROOT, threshold=0.0),
        ),
        "radam-short": (
            gd.radam(eta, b2=0.5, threshold=1.0),
            rule(rules.radam, eta=eta, b2=0.5, threshold=1.0),
        ),
        "radam-nesterov": (
            gd.radam(eta, **ROOT, threshold=8.0, nesterov=True),
            rule(rules.radam, eta=eta, **ROOT, threshold=8.0, nesterov=True),
        ),
        "adadelta": (gd.adadelta(eps=1e-4), rule(rules.adadelta, eps=1e-4)),
        "adadelta-l2": (
            gd.adadelta(halving, 0.8, 1e-2, lam),
            rule(rules.adadelta, eta=halving, rho=0.8, eps=1e-2, lam=lam),
        ),
        "adadelta-part": (
            gd.chain(gd.scale_by_adadelta(), gd.scale(-10.0)),
            rule(rules.adadelta, eta=10.0),
        ),
        "optimistic": (
            gd.optimistic_gradient_descent(halving),
            rule(rules.optimistic_gradient, eta=halving),
        ),
        "optimistic-generalized": (
            gd.optimistic_gradient_descent(0.2, 0.7, 0.4),
            rule(rules.optimistic_gradient, eta=0.2, alpha=0.7, beta=0.4),
        ),
        "optimistic_adam": (
            gd.optimistic_adam(halving),
            rule(rules.optimistic_adam, eta=halving, optimism=halving),
        ),
        "optimistic_adam-root": (
            gd.optimistic_adam(eta, 0.03, **ROOT, nesterov=True),
            rule(rules.optimistic_adam, eta=eta, optimism=0.03, **ROOT, nesterov=True),
        ),
        "optimistic_adam_v2": (
            gd.optimistic_adam_v2(eta),
            rule(rules.optimistic_adam, eta=eta, optimism=eta),
        ),
        "optimistic_adam_v2-root": (
            gd.optimistic_adam_v2(0.1, alpha=0.7, beta=0.4, **ROOT),
            rule(rules.optimistic_adam, eta=0.07, optimism=0.04, **ROOT),
        ),
        "novograd": (gd.novograd(eta), rule(rules.novograd, eta=eta, eps=1e-6)),
        "novograd-decay": (
            gd.novograd(halving, 0.8, 0.3, 1e-2, 1e-3, lam),
            rule(rules.novograd, eta=halving, b1=0.8, b2=0.3, eps=1e-2, eps_root=1e-3, lam=lam),
        ),
        "rprop": (gd.rprop(0.1), rule(rules.rprop, eta=0.1)),
        "rprop-bounds": (
            gd.rprop(0.1, 0.4, 1.5, 0.05, 0.2),
            rule(rules.rprop, eta=0.1, eta_minus=0.4, eta_plus=1.5, least=0.05, largest=0.2),
        ),
        "lion": (gd.lion(0.02), rule(rules.lion, eta=0.02, lam=1e-3)),
        "lion-decay": (
            gd.lion(halving, 0.8, 0.95, weight_decay=lam),
            rule(rules.lion, eta=halving, b1=0.8, b2=0.95, lam=lam),
        ),
        "sign_sgd": (gd.sign_sgd(halving), rule(rules.sign_sgd, eta=halving)),
        "signum": (gd.signum(halving), rule(rules.signum, eta=halving, beta=0.9)),
        "laprop": (gd.laprop(eta), rule(rules.laprop, eta=eta)),
        "laprop-betas": (gd.laprop(halving, **BETAS), rule(rules.laprop, eta=halving, **BETAS)),
        "adopt": (gd.adopt(eta), rule(rules.adopt, eta=eta)),
        "adopt-betas": (gd.adopt(halving, **BETAS), rule(rules.adopt, eta=halving, **BETAS)),
        # Few gradients are smaller than 0.01: this eps holds the first denominators.
        "adopt-unclipped": (
            gd.adopt(eta, 0.8, 0.95, 0.1, use_clipping=False),
            rule(rules.adopt, eta=eta, b1=0.8, b2=0.95, eps=0.1, power=None),
        ),
        "adopt-nesterov": (
            gd.adopt(eta, 0.8, 0.95, 1e-4, nesterov=True, clip_value_fn=lambda t: t**0.5),
            rule(rules.adopt, eta=eta, b1=0.8, b2=0.95, eps=1e-4, power=0.5, nesterov=True),
        ),
        "adan": (gd.adan(eta), rule(rules.adan, eta=eta, eps_root=1e-8)),
        "adan-decay": (adan, rule(rules.adan, eta=halving, **adan_rule, lam=lam)),
        "adan-part": (
            gd.chain(
                gd.scale_by_adan(0.9, 0.8, 0.95, 1e-2, 1e-3),
                gd.scale_by_learning_rate(eta),
                gd.proximal_decay(eta * lam),
            ),
            rule(rules.adan, eta=eta, **adan_rule, lam=lam),
        ),
    }


# These widen nothing: their own arithmetic, or a part of it, is in float32.
SINGLE = {"torch_optimizer/radam", "heavyball/laprop"}

AGREE = {
    key.replace("/", "-"): Agree(
        tx, recorded("adam_kin", key), tolerance=1e-6 if key in SINGLE else 1e-10
    )
    for key, tx in {**TORCH_ROWS, **OPTAX_ROWS}.items()
} | {f"numpy-{key}": Agree(*row) for key, row in numpy_rows().items()}
