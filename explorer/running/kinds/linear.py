"""How linear layers run: on vectors, and what comes out is (N, C, 1, 1) again, as the plan says."""

from typing import Any

import torch
from torch import nn
from torch.nn import init

from explorer.plan import Inits, Op
from explorer.running.arithmetic import Arithmetic, Asked, as_numbers, read, weighted_sum
from explorer.running.kinds.running import Running, initialise_bias, nothing_unsaid
from explorer.running.text import Number, Read, Text


def module(op: Op, x: Op) -> nn.Module:
    return nn.Linear(x.size, op.shape[0], bias=op.attributes.bias)


def call(op: Op, module: Any, x: Any) -> Any:
    return module(x.flatten(1)).unflatten(1, (-1, 1, 1))


def initialise(module: nn.Module, inits: Inits, draw: torch.Generator) -> None:
    """The weights as PyTorch does, whatever the convolutions have."""
    assert isinstance(module, nn.Linear)
    init.kaiming_uniform_(module.weight, a=5**0.5, generator=draw)
    initialise_bias(module.weight, module.bias, inits, draw)


def construction(op: Op, x: Op) -> Text:
    close = ")" if op.attributes.bias else ", bias=False)"
    return ("nn.Linear(", Number("channels", x.size), ", ", Number("classes", op.shape[0]), close)


def application(op: Op, module: str) -> Text:
    return (f"{module}(torch.flatten(", Read(op.inputs), ", 1))")


def arithmetic(asked: Asked) -> Arithmetic:
    (x,), (maps,), module = asked.sources, asked.maps, asked.module
    assert isinstance(module, nn.Linear)
    weights = as_numbers(module.weight[asked.channel]).reshape(x.shape)
    c, h, w = x.shape
    patch = read(x, maps, range(c), range(h), range(w), weights)
    return weighted_sum("Each number times its weight; all products are added.", patch, module.bias, asked.channel)


RUNNING = (
    Running(
        kind="linear",
        module=module,
        unsaid=nothing_unsaid,
        arithmetic=arithmetic,
        call=call,
        initialise=initialise,
        construction=construction,
        application=application,
        makes_vectors=True,
        takes_vectors=True,
        sequential=False,
        kaiming={"nn.Linear": ""},
    ),
)
