"""Workers without the seconds that imports take: one process imports all that a worker needs, and forks for each.

`with Workers() as workers: worker = workers.start(path)`. What a worker is told to do `first` is Python, run in it.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # a fork has but one
PATIENCE = 60.0  # seconds


class Worker:
    def __init__(self, workers: "Workers", pid: int, log: Path) -> None:
        self._workers, self.pid, self._log = workers, pid, log

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, or the signal that ended it as a negative number."""
        return int(self._workers.ask(wait=self.pid))

    @property
    def ended(self) -> bool:
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE)

    @property
    def said(self) -> str:
        return self._log.read_text()


class Workers:
    def __enter__(self) -> "Workers":
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)},
        )
        self.ask()
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def start(self, path: Path, first: str = "", in_line: bool = False, **changes: str) -> Worker:
        log = path.with_name(f"{path.name}.{time.monotonic_ns()}.log")
        env = {name: text for name, text in os.environ.items() if name.startswith("EXPLORER_")}
        pid = self.ask(path=str(path), first=first, in_line=in_line, changes=changes, env=env, log=str(log))
        return Worker(self, int(pid), log)

    def ask(self, **question: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def until(true: Callable[[], object]) -> None:
    """Waits for it. Fails where it does not come about."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.005)


@contextmanager
def _output_in(log: str) -> Iterator[None]:
    with open(log, "w", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        yield


def _work(path: str, first: str, in_line: bool, changes: Mapping[str, str], env: Mapping[str, str], log: str) -> None:
    """In the fork. As the command, it ends with 2 after a sentence, and with 0 otherwise."""
    from explorer.errors import ExplorerError
    from explorer.learning import worker

    code = 3
    with _output_in(log):
        try:
            os.environ.update(env)
            exec(first, {})
            code = 2 if worker.train(Path(path), in_line, changes=changes) == "failed" else 0
        except ExplorerError as error:
            print(error)
            code = 2
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)


def _serve() -> None:
    import pandas  # noqa: F401
    import sklearn.datasets  # noqa: F401

    from explorer.learning import session, worker  # noqa: F401

    os.nice(1)  # workers leave it at that, and tests do not wait behind everything else
    for line in sys.stdin:
        question = json.loads(line)
        if not question:  # whether all is imported
            answer = 0
        elif "wait" in question:
            answer = os.waitstatus_to_exitcode(os.waitpid(question["wait"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                _work(**question)
        print(answer, flush=True)


if __name__ == "__main__":
    _serve()
