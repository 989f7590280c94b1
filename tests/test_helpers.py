"""What tests need of the devices: where it is missing they are skipped and say why."""

from __future__ import annotations

import jax
import pytest

from tests.helpers import mesh_of, needs


class Device:
    platform = "gpu"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: mesh_of("Auto"), "needs 8 devices, got 1 of gpu"),
        (lambda: needs(platform="cpu"), "is about cpu devices, got 1 of gpu"),
    ],
)
def test_what_is_missing_skips_and_says_so(call, reason, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    with pytest.raises(pytest.skip.Exception, match=reason):
        call()


def test_what_is_there_skips_nothing():
    needs(devices=len(jax.devices()), platform=jax.devices()[0].platform)
