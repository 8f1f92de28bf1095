"""The curves for TensorBoard too, where somebody has it installed and asks for it."""

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from explorer.learning.runs import Run, RunError

FOLDER = "tensorboard"
TAGS = {
    "train_loss": "loss/train",
    "test_loss": "loss/test",
    "train_accuracy": "accuracy/train",
    "test_accuracy": "accuracy/test",
    "learning_rate": "learning rate",
}


def can_be_written() -> bool:
    """Whether TensorBoard is installed."""
    return find_spec("tensorboard") is not None


class Events:
    """Writes nothing where the run does not ask for it. Raises RunError where TensorBoard is not installed."""

    def __init__(self, run: Run) -> None:
        self._writer: Any = _writer(run) if run.job.tensorboard else None

    def write(self, row: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, tag in TAGS.items():
                if not math.isnan(row[name]):
                    self._writer.add_scalar(tag, row[name], int(row["step"]))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _writer(run: Run) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RunError("TensorBoard is not installed: pip install tensorboard, or train without its events.") from None
    return SummaryWriter(str(run.path / FOLDER))
