"""Properties without a lock: computed once, and threads never wait for each other."""

import os
import pathlib
import subprocess
import sys

import gdjax
from gdjax.core.data.cached import cached


class Counts:
    calls = 0

    @cached
    def value(self):
        """Documented."""
        self.calls += 1
        return [self.calls]


def test_is_computed_once_for_each_object():
    one, other = Counts(), Counts()
    assert one.value is one.value and one.value == [1] and one.calls == 1
    assert other.value == [1] and other.value is not one.value
    assert Counts.value.__doc__ == "Documented."


def test_keeps_what_came_first():
    """Two threads that compute at once get one and the same value."""

    class Slow(Counts):
        @cached
        def value(self):
            self.__dict__["value"] = "first"  # another thread was quicker
            return "second"

    assert Slow().value == "first"


def test_threads_do_not_wait_for_each_other():
    """Hung for ever with `functools.cached_property` on Python 3.11."""
    environment = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.core.data.threads"]
    root = pathlib.Path(gdjax.__file__).parent.parent
    out = subprocess.run(
        command, capture_output=True, text=True, cwd=root, env=environment, timeout=150
    )
    assert out.returncode == 0, out.stdout + out.stderr


def test_nothing_holds_a_lock():
    """A new `functools.cached_property` would bring the lock back."""
    files = pathlib.Path(gdjax.__file__).parent.rglob("*.py")
    assert [f.name for f in files if "cached_property" in f.read_text()] == ["cached.py"]
