"""Taking a network along with its weights: as safetensors, as a torch.export program, as ONNX.

torch's exporters patch torch for the whole process while they trace: meanwhile many forward passes in other
threads give wrong numbers, without an error. So they run in a process of their own, on a network of its own.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import safetensors.torch
import torch
from torch.fx import GraphModule

from explorer.errors import ExplorerError
from explorer.families import Config
from explorer.running.card import UNKNOWN, Card, to_metadata
from explorer.running.network import blank, plan_of
from explorer.running.weights import save_safetensors

ROOT = Path(__file__).parents[2]  # where `python -m explorer.running.export` finds this package
PATIENCE = 900  # seconds; a thousand layers take one minute in pt2 and two in ONNX


class ExportError(ExplorerError):
    """A file that cannot be made here, in one sentence with the way out."""


class Export(Protocol):
    def __call__(self, network: GraphModule, card: Card = UNKNOWN, config: Config | None = None) -> bytes: ...


def to_pt2(network: GraphModule, card: Card = UNKNOWN, config: Config | None = None) -> bytes:
    """A program for `torch.export.load`, for any number of images, with card and configuration as extra files.

    `network` is only read, and may be on any device; the program's is the CPU. Raises ExportError.
    """
    return _elsewhere("pt2", network, to_metadata(card, config))


def to_onnx(network: GraphModule, card: Card = UNKNOWN, config: Config | None = None) -> bytes:
    """An ONNX model with input "images" (N, C, H, W) and output "logits" (N, classes), with card and configuration in
    its metadata.

    `network` is only read. Raises ExportError, also where onnx and onnxscript are not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"ONNX needs {error.name}, which is not installed: pip install onnx onnxscript.") from None
    return _elsewhere("onnx", network, to_metadata(card, config))


EXPORTS: Mapping[str, Export] = {
    "safetensors": save_safetensors,
    "pt2": to_pt2,
    "onnx": to_onnx,
}


def _elsewhere(form: str, network: GraphModule, said: dict[str, str]) -> bytes:
    """What `_write` makes of the network, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="explorer-export-") as folder:
        Path(folder, "plan").write_bytes(pickle.dumps(plan_of(network)))
        Path(folder, "weights").write_bytes(save_safetensors(network))
        Path(folder, "said").write_text(json.dumps(said), encoding="utf-8")
        command = [sys.executable, "-m", "explorer.running.export", form, folder]
        try:
            environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise ExportError(f"{form} took more than {PATIENCE // 60} minutes; take the weights alone.") from None
        file = Path(folder, f"network.{form}")
        if done.returncode or not file.exists():
            reason = (done.stderr.decode(errors="replace").strip() or "the process was stopped").splitlines()[-1]
            raise ExportError(f"{form} cannot be made of this network ({reason[:200]}); take the weights alone.")
        return file.read_bytes()


def _write(form: str, folder: Path) -> None:
    """Reads plan and weights from the folder and puts the file there. Only where no other thread uses torch."""
    plan = pickle.loads((folder / "plan").read_bytes())
    network = blank(plan).to_empty(device="cpu")
    network.load_state_dict(safetensors.torch.load_file(folder / "weights"))
    images = (torch.zeros(2, *plan.ops[0].shape),)  # a single one would be taken for a fixed number
    any_number = ({0: torch.export.Dim("batch", min=1)},)
    path = folder / f"network.{form}"
    said: dict[str, str] = json.loads((folder / "said").read_text(encoding="utf-8"))
    if form == "pt2":
        torch.export.save(torch.export.export(network, images, dynamic_shapes=any_number), path, extra_files=said)
    else:
        program = torch.onnx.export(
            network,
            images,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=any_number,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(said)
        program.save(path, external_data=False)


if __name__ == "__main__":
    _write(sys.argv[1], Path(sys.argv[2]))
