"""Taking a network along with its weights: as safetensors, as a torch.export program, as ONNX."""

import copy
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.fx import GraphModule

from explorer.network import plan_of
from explorer.weights import save_safetensors


class ExportError(ValueError):
    """A file that cannot be made here, in one sentence with the way out."""


def to_pt2(network: GraphModule) -> bytes:
    """A program for `torch.export.load`, for any number of images."""
    file = io.BytesIO()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(_private(network), (_images(network, 2),), dynamic_shapes=({0: batch},))
    torch.export.save(program, file)
    return file.getvalue()


def to_onnx(network: GraphModule) -> bytes:
    """An ONNX model with input "images" (N, C, H, W) and output "logits" (N, classes).

    Raises ExportError where onnx and onnxscript are not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"ONNX needs {error.name}, which is not installed: pip install onnx onnxscript.") from None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            _private(network),
            (_images(network, 2),),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        return path.read_bytes()


EXPORTS: Mapping[str, Callable[[GraphModule], bytes]] = {
    "safetensors": save_safetensors,
    "pt2": to_pt2,
    "onnx": to_onnx,
}


def _private(network: GraphModule) -> GraphModule:
    """A copy on the CPU: exporting traces the module that it is given, and others may be running it."""
    return copy.deepcopy(network).cpu().eval()


def _images(network: GraphModule, count: int) -> torch.Tensor:
    return torch.zeros(count, *plan_of(network).ops[0].shape)
