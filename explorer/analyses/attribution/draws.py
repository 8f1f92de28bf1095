"""From which generator does chance come? From one of the calling thread's own, also inside of Captum.

Captum draws from the process-wide generators of torch and numpy. If visitors took turns at those, one of them could
stop all others for minutes; so what it draws is taken from generators that belong to the thread, seeded as the
process-wide ones would be: the same seed gives the same numbers.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import captum._utils.common
import captum.attr._core.gradient_shap
import numpy as np
import torch
from torch.overrides import TorchFunctionMode

# all of torch's functions that draw and that Captum calls, whichever way
DRAWING = frozenset(
    {
        *(torch.normal, torch.rand, torch.randn, torch.randint, torch.randperm, torch.bernoulli, torch.multinomial),
        *(torch.Tensor.random_, torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.bernoulli_),
    }
)


class _Torch(TorchFunctionMode):
    """While it is entered, which is true in its thread alone, torch draws from a generator of its own a device."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in DRAWING:
            given["generator"] = self._generator(args, given)
        return func(*args, **given)

    def _generator(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> torch.Generator:
        """Of the device on which is drawn: the tensors', or the one that is asked for."""
        tensors = [value.device for value in (*args, *given.values()) if isinstance(value, torch.Tensor)]
        device = tensors[0] if tensors else torch.device(given.get("device") or "cpu")
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self.generators[device]


class _Numpy:
    """numpy as two files of Captum see it: `numpy.random` is the thread's own generator where it has one."""

    def __init__(self) -> None:
        self.own = threading.local()

    @property
    def random(self) -> Any:
        return getattr(self.own, "generator", None) or np.random

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


_numpy = _Numpy()
# the only ones that draw with numpy
for _file in (captum._utils.common, captum.attr._core.gradient_shap):
    _file.np = _numpy


@contextmanager
def own_draws(seed: int) -> Iterator[None]:
    """Whatever Captum draws in this thread meanwhile depends on the seed alone, and moves no other generator."""
    before = getattr(_numpy.own, "generator", None)
    _numpy.own.generator = np.random.RandomState(seed)
    try:
        with _Torch(seed):
            yield
    finally:
        _numpy.own.generator = before
