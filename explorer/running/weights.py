"""Where a network's weights come from, and whether they fit.

Fresh from a seed, torchvision's for ImageNet, the project's own, a run's, or a file's (uploaded, or in a folder of
the server): a `Weights` value says which, serves as a cache key and stamps pictures, so that nobody takes an untrained
network for a trained one. Its card says how pictures were prepared when they were trained, where that is known.
Whatever goes wrong on the way (no connection, a hostile file, another network's weights) is a `WeightsError`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import safetensors.torch
import torch

from explorer.errors import ExplorerError
from explorer.families import FAMILIES, Config, torchvision_model
from explorer.pictures.preparation import Preparation
from explorer.plan.tensors import Shapes
from explorer.running.card import UNKNOWN, Card, of_metadata, to_metadata
from explorer.running.checkpoints import OnDisk, Refused, Stored, contents, metadata
from explorer.running.downloading import DownloadError, Progress
from explorer.running.downloading import download as fetch
from explorer.wording import clean

_SAVE_AGAIN = 'save the weights again with torch.save(network.state_dict(), "model.pt")'
_DATASET = "ImageNet-1K"
_MOST_LISTED = 50

# What tensors were called in older files -> their present names.
_OLD_NAMES = tuple((re.compile(old), new) for family in FAMILIES.values() for old, new in family.old_names.items())

StateDict = Mapping[str, torch.Tensor]
T = TypeVar("T")


class WeightsError(ExplorerError):
    """Weights that cannot be had or do not fit: one sentence for the user, with the way out.

    `mismatches`: one line a difference between file and network, at most 50 and then "and N more".
    """

    def __init__(self, sentence: str, mismatches: Iterable[str] = ()) -> None:
        super().__init__(sentence)
        lines = tuple(mismatches)
        more = len(lines) - _MOST_LISTED
        self.mismatches = lines if more <= 0 else (*lines[:_MOST_LISTED], f"and {more} more")


@dataclass(frozen=True)
class Weights:
    """Which weights a network has; equal, also as a cache key, when they are the same numbers.

    `identity` is a seed, a member of a torchvision enum ("ResNet50_Weights.IMAGENET1K_V2"), the name of a file that
    comes with the project, a run's name and the step of its checkpoint, or the SHA-256 of an uploaded file or of what
    tells a file in the server's folder from others; `name` is what is shown. `card` is a file's. `moved`: they were
    loaded for a network that computes something else with the same tensors.
    `calibrated`: the norms of fresh ones have the statistics of sample photographs (explorer.running.calibration).
    """

    source: Literal["fresh", "torchvision", "project", "run", "uploaded", "folder"]
    identity: str
    name: str = field(compare=False)
    card: Card = UNKNOWN
    moved: bool = field(default=False, compare=False)
    calibrated: bool = False

    @property
    def trained(self) -> bool:
        """False for fresh weights only: of an upload nobody knows better."""
        return self.source != "fresh"

    @property
    def label(self) -> str:
        """The phrase to stamp under a picture made with these weights."""
        if self.source == "fresh":
            return f"untrained ({self.name}){', norms calibrated on photographs' if self.calibrated else ''}"
        if self.source == "torchvision":
            return f"torchvision ImageNet, {self.identity.rpartition('.')[2]}"
        if self.source == "project":
            return self.name
        if self.source == "run":
            return f"run: {self.name}"
        said = f"{'uploaded' if self.source == 'uploaded' else 'checkpoint'}: {self.name}"
        return f"{said}, loaded for another network" if self.moved else said

    @property
    def of_file(self) -> bool:
        """Whether they are a visitor's or the server's file, of which nobody may know how it was made."""
        return self.source in ("uploaded", "folder")

    @property
    def has_card(self) -> bool:
        """Whether what is known of their pictures and classes is on their card."""
        return self.source not in ("fresh", "torchvision")

    @property
    def numbers(self) -> "Weights":
        """The weights alone: another card makes no other network."""
        return replace(self, card=UNKNOWN, moved=False)


def fresh(seed: int, calibrated: bool = False) -> Weights:
    """The initialisation from `seed`."""
    return Weights("fresh", str(seed), f"seed {seed}", calibrated=calibrated)


def uploaded(digest: str, name: str) -> Weights:
    """A file that a user sent, known by the SHA-256 of its bytes: two files of one name are two weights."""
    return Weights("uploaded", digest, _shown(name))


# --- torchvision's weights


def torchvision_weights(model_name: str) -> tuple[Weights, ...]:
    """All ImageNet weights that torchvision has for its model of this name, best first; () if none."""
    import torchvision.models  # here and below: a worker does without

    try:
        entries = torchvision.models.get_model_weights(model_name)
    except ValueError:
        return ()
    usable = sorted(filter(_usable, entries), key=lambda entry: entry is not entries.DEFAULT)
    return tuple(Weights("torchvision", str(entry), f"ImageNet ({entry.name})") for entry in usable)


def offered(config: Config) -> tuple[Weights, ...]:
    """torchvision's weights for this network, best first, whatever its input size; () if it is none of theirs."""
    name = torchvision_model(config)
    return torchvision_weights(name) if name else ()


def categories(weights: Weights) -> tuple[str, ...]:
    """The names of all classes in the network's order, ImageNet's or the card's; () where they are not known."""
    return tuple(_entry(weights).meta["categories"]) if weights.source == "torchvision" else weights.card.classes


def class_names(weights: Weights, count: int) -> tuple[str, ...]:
    """A name for each of `count` classes: the weights' own where they know them, else "class 0", "class 1", ..."""
    found = categories(weights)
    return found if len(found) == count else tuple(f"class {i}" for i in range(count))


def preparation(weights: Weights) -> Preparation | None:
    """How these weights' own recipe prepares an image (V1 and V2 resize differently); None if not known."""
    if weights.source != "torchvision":
        return weights.card.preparation
    recipe = _entry(weights).transforms()
    size, resize, interpolation = recipe.crop_size[0], recipe.resize_size[0], recipe.interpolation.value
    return Preparation(size, resize, tuple(recipe.mean), tuple(recipe.std), interpolation)


def published_accuracy(weights: Weights) -> float | None:
    """Top-1 accuracy on ImageNet's validation images in percent, as torchvision reports it."""
    if weights.source != "torchvision":
        return None
    return float(_entry(weights).meta["_metrics"][_DATASET]["acc@1"])


def _usable(entry: Any) -> bool:
    """Detectors learn from other data, quantised networks (with a `backend`) have other tensors, and some files are
    of features alone: their classifier is not a number, and so is their accuracy.
    """
    metrics = entry.meta["_metrics"].get(_DATASET)
    return metrics is not None and not isnan(metrics["acc@1"]) and "backend" not in entry.meta


def _entry(weights: Weights) -> Any:
    """The member of torchvision's enum."""
    import torchvision.models

    with suppress(ValueError, KeyError):  # an identity from a link, or of another torchvision
        entry = torchvision.models.get_weight(weights.identity)
        if weights.source == "torchvision" and _usable(entry):
            return entry
    raise WeightsError(f"torchvision has no weights named {clean(weights.identity)}; choose others.")


def _url(weights: Weights) -> str:
    return str(_entry(weights).url)


def download(weights: Weights, progress: Progress | None = None, timeout: float = 10) -> Path:
    """The file in torch's own cache, where torchvision finds it too; fetched if it is not there.

    `timeout` in seconds of silence. May run in several threads and processes at once. Raises WeightsError.
    """
    url = _url(weights)
    path = Path(torch.hub.get_dir(), "checkpoints", PurePosixPath(urlsplit(url).path).name)
    if not path.exists():
        # The name ends in the first digits of the hash. A name without them never matches: no unchecked file.
        digest = path.stem.rpartition("-")[2]
        try:
            fetch(url, path, "sha256", digest, progress, timeout)
        except DownloadError as reason:
            model = weights.identity.split("_Weights.")[0].lower()
            failed = f"ImageNet weights for {model} could not be downloaded"
            raise WeightsError(f"{failed} ({reason}); the network keeps fresh weights.") from reason
    return path


# --- files, and whether they fit


def read_torchvision(path: Path, name: str, expected: StateDict) -> dict[str, torch.Tensor]:
    """The state dict in a file from `download`, with the names of `expected`; `name` is shown in messages.

    Some of these files are older than torch's zip format. torch itself reads them, since their hash is
    torchvision's. Raises WeightsError for a damaged file and for a network that is not quite torchvision's.
    """
    try:
        found = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file can fail anywhere in torch.load
        raise WeightsError(f"{path} cannot be read; delete it to download it again.") from error
    return _fit(found, expected, name)


def read_checkpoint(data: bytes | OnDisk, name: str, expected: StateDict) -> dict[str, torch.Tensor]:
    """The state dict in a stranger's file: safetensors, or what torch.save has written since torch 1.6.

    `expected` is the network's state dict, on any device: names, shapes and dtypes are read, values are not.
    The result has its names, order and dtypes, on the CPU. The file may be {"state_dict": ...} or
    {"model": ...}, from DataParallel, of another float precision, and without `num_batches_tracked`. Takes
    little more memory beyond `data` than the result. Raises WeightsError, and nothing else.
    """
    shown = _shown(name)
    return _guarded(shown, lambda: _fit(contents(data, len(expected)), expected, shown))


def check_checkpoint(data: bytes | OnDisk, name: str, expected: StateDict) -> None:
    """Raises WeightsError where `read_checkpoint` would; holds no more than one tensor at a time."""
    shown = _shown(name)

    def check() -> None:
        named = _named(contents(data, len(expected)), expected, shown)
        for key, need in expected.items():
            _tensor(key, named[key], need.dtype, shown)

    _guarded(shown, check)


def read_shapes(data: bytes | OnDisk, name: str, most: int) -> Shapes:
    """The names that the families' networks give to a stranger's tensors, and their shapes; no tensor is made.

    `most` tensors bound how long the table of contents may be. Raises WeightsError, and nothing else.
    """
    shown = _shown(name)

    def read() -> Shapes:
        named = _renamed(contents(data, most), {}, shown)
        return {key: value.shape for key, value in named.items() if isinstance(value, Stored)}

    return _guarded(shown, read)


def read_card(data: bytes | OnDisk, size: int, tensors: int) -> Card:
    """What a sound file says of its weights' pictures and classes; `size` is the network's. Raises CardError."""
    return of_metadata(metadata(data, tensors), size)


def _guarded(shown: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except WeightsError:
        raise
    except Refused as refusal:
        raise WeightsError(f"{shown} {refusal}; {_SAVE_AGAIN}.") from None
    except Exception as error:  # a damaged file can fail anywhere in zipfile, json, pickletools
        raise WeightsError(f"{shown} is damaged ({type(error).__name__}); {_SAVE_AGAIN}.") from error


def load(network: torch.nn.Module, state: StateDict, take: bool = False) -> None:
    """Puts `state` into `network`, in place; if it does not fit, WeightsError and an unchanged network.

    With `take` nothing is copied, also into a network on the meta device: the tensors themselves become its own.
    """
    problems = _mismatches(state, network.state_dict())
    if problems:
        raise _misfit("the state dict", problems)
    network.load_state_dict(state, strict=True, assign=take)


def save_safetensors(network: torch.nn.Module, card: Card = UNKNOWN, config: Config | None = None) -> bytes:
    """The network's state dict as a safetensors file, which `read_checkpoint` and other programs read.

    With card and configuration in its metadata.
    """
    # copies: the format refuses tensors that share memory
    copies = {key: value.to("cpu", copy=True).contiguous() for key, value in network.state_dict().items()}
    return safetensors.torch.save(copies, metadata={"format": "pt", **to_metadata(card, config)})


def _shown(name: str) -> str:
    """A file's name without its folders, in one printable line."""
    return clean(PurePosixPath(name.replace("\\", "/")).name) or "the file"


def _fit(found: Mapping[str, object], expected: StateDict, name: str) -> dict[str, torch.Tensor]:
    """`found` as the state dict `expected`: all is compared before the first tensor is made."""
    named = _named(found, expected, name)
    return {key: _tensor(key, named[key], need.dtype, name) for key, need in expected.items()}


def _named(found: Mapping[str, object], expected: StateDict, name: str) -> dict[str, object]:
    """What is found, under the names of `expected` and with its shapes."""
    # Files from before torch 0.4.1 lack these counters, which only a norm with momentum=None ever reads.
    counters = {
        key: torch.zeros(need.shape, dtype=need.dtype)
        for key, need in expected.items()
        if key.endswith("num_batches_tracked")
    }
    named = {**counters, **_renamed(found, expected, name)}
    problems = _mismatches(named, expected)
    if problems:
        raise _misfit(name, problems)
    return named


def _renamed(found: Mapping[str, object], expected: StateDict, name: str) -> dict[str, object]:
    """The state dict in a training checkpoint, without DataParallel's prefix, in the families' present names."""
    inner = (found.get(key) for key in ("state_dict", "model"))
    state = next((value for value in inner if isinstance(value, Mapping)), found)
    renamed: dict[str, object] = {}
    for key, value in state.items():
        new = key if key in expected else _present(key.removeprefix("module."))
        if new in renamed:
            raise WeightsError(f"{name} has {clean(new)} under an old and a new name; {_SAVE_AGAIN}.")
        renamed[new] = value
    return renamed


def _present(key: str) -> str:
    for old, new in _OLD_NAMES:
        key = old.sub(new, key)
    return key


def _misfit(name: str, problems: list[str]) -> WeightsError:
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    difference = f"{name} does not fit the network ({problems[0]}{more})"
    return WeightsError(f"{difference}; choose the network it was saved from.", problems)


def _mismatches(found: Mapping[str, object], expected: StateDict) -> list[str]:
    """One line a difference: first shapes and dtypes, then what is missing, then what is unexpected."""
    shared = (key for key in expected if key in found)
    lines = [line for key in shared if (line := _mismatch(key, found[key], expected[key]))]
    lines += [f"missing: {key}" for key in expected if key not in found]
    return lines + [f"unexpected: {clean(key)}" for key in found if key not in expected]


def _mismatch(key: str, value: object, need: torch.Tensor) -> str | None:
    has, wants = "no tensor", str(tuple(need.shape))
    if isinstance(value, Stored | torch.Tensor):
        has = clean(str(tuple(value.shape)))
        if has == wants and not _castable(value.dtype, need.dtype):
            has, wants = f"{value.dtype} values", str(need.dtype)
    return f"{key}: file has {has}, network needs {wants}" if has != wants else None


def _castable(dtype: torch.dtype, to: torch.dtype) -> bool:
    """Floats of any width serve as floats, integers as integers; other changes are not just of precision."""
    if dtype.is_complex or to.is_complex or torch.bool in (dtype, to):
        return dtype == to
    return dtype.is_floating_point == to.is_floating_point


def _tensor(key: str, value: object, dtype: torch.dtype, name: str) -> torch.Tensor:
    assert isinstance(value, Stored | torch.Tensor)  # as `_mismatches` has found
    tensor = value.tensor() if isinstance(value, Stored) else value.detach()
    tensor = tensor.to("cpu", dtype).contiguous()
    # NaN and infinity stay in a sum, which is far sooner found than looked for in each; finite ones may overflow
    if dtype.is_floating_point and not bool(tensor.sum().isfinite()) and not bool(tensor.isfinite().all()):
        raise WeightsError(f"{name} has NaN or infinity in {key}; use weights that have not diverged.")
    return tensor
