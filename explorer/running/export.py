"""Taking a network along with its weights: as safetensors, as a torch.export program, as ONNX.

torch's exporters patch torch for the whole process while they trace: meanwhile many forward passes in other
threads give wrong numbers, without an error. So they run in a process of their own, on a network of its own.
"""

import errno
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from torch.fx import GraphModule

from explorer.errors import DISK_FULL, ExplorerError
from explorer.families import Config
from explorer.plan import Plan
from explorer.running.card import UNKNOWN, Card, to_metadata
from explorer.running.devices import is_out_of_memory
from explorer.running.network import blank, plan_of
from explorer.wording import gigabytes

ROOT = Path(__file__).parents[2]  # where `python -m explorer.running.export` finds this package
PATIENCE = 900  # seconds; a thousand layers take one minute in pt2 and two in ONNX
MOST_ONNX = 2_000_000_000  # bytes of weights; protobuf writes no more than 2**31 in all
LOOKS_EACH = 0.1  # seconds between two questions whether anybody still wants the file
FULL, NO_MEMORY = 3, 4  # exit statuses
TORCHS_FILES = "inline_container"  # in torch's words, and all that it says, where a file takes no more; it then aborts
EXCEPTION = re.compile(r"[\w.]+(Error|Exception)\b.*")  # as a traceback ends

Said = dict[str, str]  # card and configuration, as metadata
Meanwhile = Callable[[], None]


class ExportError(ExplorerError):
    """A file that cannot be made here, in one sentence with the way out."""


class Export(NamedTuple):
    """A form of file: how it is written, and what memory that takes beyond the network's own.

    `libraries` are bytes that are taken for any network; a network takes `weights` times the bytes of its weights, and
    `operation` bytes for each operation. As measured on VGG-16, ResNet-152, Wide ResNet-101-2 and DenseNet-201; the
    benchmark `memory` shows how near they are.
    """

    write: Callable[[GraphModule, Path, Said, Meanwhile], None]
    libraries: int
    weights: float
    operation: int

    def needed_bytes(self, plan: Plan) -> int:
        """For the network, without the libraries."""
        return int(self.weights * 4 * plan.params + self.operation * len(plan.ops))


def write(
    form: str,
    network: GraphModule,
    path: Path,
    card: Card = UNKNOWN,
    config: Config | None = None,
    meanwhile: Meanwhile = lambda: None,
) -> None:
    """The file of one of EXPORTS, with card and configuration in its metadata.

    pt2 is a program for `torch.export.load`, for any number of images; ONNX has an input "images" (N, C, H, W) and an
    output "logits" (N, classes). Both are made for the CPU. `network` is only read, and may be on any device.
    A file that has this path already is replaced. `meanwhile` is called now and then, and may end it by raising. Raises
    ExportError.
    """
    try:
        EXPORTS[form].write(network, path, to_metadata(card, config), meanwhile)
    except OSError as error:
        why = "the disk is full" if error.errno in DISK_FULL else f"the disk refuses it ({error.strerror or error})"
        raise ExportError(f"{form} was not written, since {why}: make room there, or try again later.") from None


def _safetensors(network: GraphModule, path: Path, said: Said, meanwhile: Meanwhile) -> None:
    # copies: the format refuses tensors that share memory
    copies = {key: value.to("cpu", copy=True).contiguous() for key, value in network.state_dict().items()}
    meanwhile()
    try:
        safetensors.torch.save_file(copies, path, metadata={"format": "pt", **said})
    except safetensors.SafetensorError as error:
        if (number := re.search(r"os error (\d+)", str(error))) is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def _onnx(network: GraphModule, path: Path, said: Said, meanwhile: Meanwhile) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(f"ONNX needs {error.name}, which is not installed: pip install onnx onnxscript.") from None
    if (size := 4 * plan_of(network).params) > MOST_ONNX:
        raise ExportError(f"An ONNX file holds 2 GB at most, and these weights have {gigabytes(size)}; take pt2.")
    _elsewhere("onnx", network, path, said, meanwhile)


def _elsewhere(form: str, network: GraphModule, path: Path, said: Said, meanwhile: Meanwhile) -> None:
    """What `_write` makes of the network, in a process of its own, which ends with this call."""
    with tempfile.TemporaryDirectory(prefix="explorer-export-", dir=path.parent) as name:
        folder = Path(name)
        (folder / "plan").write_bytes(pickle.dumps(plan_of(network)))
        _safetensors(network, folder / "weights", {}, meanwhile)
        (folder / "said").write_text(json.dumps(said), encoding="utf-8")
        command = [sys.executable, "-m", "explorer.running.export", str(os.getpid()), form, name]
        status, errors = _run(command, meanwhile)
        file = folder / f"network.{form}"
        if status is None:
            raise ExportError(f"{form} took more than {PATIENCE // 60} minutes; take the weights alone.")
        if status == FULL or (status and TORCHS_FILES in errors):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if status in (NO_MEMORY, -9):  # or the system has ended it
            raise ExportError(f"There was too little memory to make {form} of this network; take the weights alone.")
        if status or not file.exists():
            lines = errors.strip().splitlines() or ["the process was stopped"]
            reason = ([line for line in lines if EXCEPTION.fullmatch(line)] or lines)[-1]
            raise ExportError(f"{form} cannot be made of this network ({reason[:200]}); take the weights alone.")
        os.replace(file, path)


def _run(command: list[str], meanwhile: Meanwhile) -> tuple[int | None, str]:
    """The exit status, None where it took too long, and what it said of errors."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        while time.monotonic() - began < PATIENCE:
            try:
                _, errors = process.communicate(timeout=LOOKS_EACH)
                return process.returncode, errors.decode(errors="replace")
            except subprocess.TimeoutExpired:
                meanwhile()
        return None, ""
    finally:
        process.kill()
        process.communicate()


EXPORTS: Mapping[str, Export] = {
    "safetensors": Export(_safetensors, 0, 1.0, 0),
    "pt2": Export(partial(_elsewhere, "pt2"), 450_000_000, 1.6, 100_000),
    "onnx": Export(_onnx, 500_000_000, 4.2, 100_000),
}


# ---- in the process of its own ----


def _write(form: str, folder: Path) -> None:
    """Reads plan and weights from the folder and puts the file there. Only where no other thread uses torch."""
    plan = pickle.loads((folder / "plan").read_bytes())
    network = blank(plan)
    network.load_state_dict(safetensors.torch.load_file(folder / "weights"), assign=True)  # as they lie in the file
    images = (torch.zeros(2, *plan.ops[0].shape),)  # a single one would be taken for a fixed number
    any_number = ({0: torch.export.Dim("batch", min=1)},)
    path = folder / f"network.{form}"
    said: Said = json.loads((folder / "said").read_text(encoding="utf-8"))
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


@contextmanager
def _telling() -> Iterator[None]:
    """Of what the machine lacks, by the exit status."""
    try:
        yield
    except Exception as error:
        reasons = list(_reasons(error))
        if any(isinstance(one, OSError) and one.errno in DISK_FULL for one in reasons):
            sys.exit(FULL)
        # protobuf, too, runs out of memory as it writes; whatever else it says is refused before
        if any(is_out_of_memory(one) or type(one).__name__ == "EncodeError" for one in reasons):
            sys.exit(NO_MEMORY)
        raise


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those behind it: torch's exporters say theirs around what has happened."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _end_with(parent: int) -> None:
    """Ends this process once the one that started it has gone, and so cannot end it any more."""
    while os.getppid() == parent:
        time.sleep(LOOKS_EACH)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    with _telling():
        _write(sys.argv[2], Path(sys.argv[3]))
