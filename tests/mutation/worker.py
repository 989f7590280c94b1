"""A process that checks mutants: one may loop for ever in compiled code, or take all memory."""

import multiprocessing
import os
import resource

__all__ = ["Worker"]

MEMORY = 12 * 2**30


class Worker:
    """Asks a process about mutants, and starts another when that process hangs or dies."""

    def __init__(self, limit):
        self.limit, self.process = limit, None

    def caught(self, mutant):
        """What notices a mutant, or None: see `checks.caught`.

        "time" and "death" are answers too if all checks pass without the mutant, in a third of the
        time that it had.
        """
        found = self._ask(mutant, self.limit)
        if found not in ("time", "death"):
            return found
        plain = self._ask(mutant, self.limit / 3, plain=True)
        if plain == "time":
            return None
        if plain is not None:
            raise RuntimeError(f"without the mutant {mutant.key}: {plain}")
        return found

    def _ask(self, mutant, limit, plain=False):
        if self.process is None:
            self.pipe, other = multiprocessing.Pipe()
            context = multiprocessing.get_context("spawn")
            self.process = context.Process(target=_answer, args=(other,), daemon=True)
            self.process.start()
            other.close()
        try:
            self.pipe.send((mutant, plain))
            if self.pipe.poll(limit):
                return self.pipe.recv()
            found = "time"
        except (EOFError, OSError):
            found = "death"
        self.process.kill()
        self.process.join()
        self.process = None
        return found


def _answer(pipe):
    """Checks the mutants that come, until the other end closes."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # what mutants and tests print
    if "MUTATION_STDERR" not in os.environ:
        os.dup2(null, 2)
    from .checks import caught

    while True:
        mutant, plain = pipe.recv()
        pipe.send(caught(of=mutant) if plain else caught(mutant))
