"""What a method of attribution is, as data; what it may be told, and what it is called with."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from explorer.analyses.attribution.score import Score

Precision = Literal["float32", "bfloat16"]
Noise = Literal["", "smoothgrad", "smoothgrad_sq", "vargrad"]
# what a method may read of the settings; every method with chance in it reads the seed too
Setting = Literal[
    "baseline", "baselines", "operation", "relu", "superpixels", "steps", "samples", "window", "noise", "precision"
]


@dataclass(frozen=True, eq=False)
class Settings:
    """What a visitor may choose; a method reads what applies to it. Zero and "" stand for the method's own choice.

    baseline (B, C, H, W), normalised: what the image is compared with; None is zeros, the data's mean colour. The
    methods that are SHAP by a distribution of baselines take all B, the others the first. superpixels (H, W): the
    region of each pixel, from 0. window and stride are in pixels. noise_level is the noise's deviation as a share
    of the image's range (Smilkov et al., 1706.03825, section 3).
    """

    baseline: Tensor | None = None
    operation: str = ""
    relu: bool = True  # of Grad-CAM: only what speaks for the target
    superpixels: NDArray[Any] | None = None
    steps: int = 50  # along the path from baseline to image
    samples: int = 0
    window: int = 0
    stride: int = 0
    noise: Noise = ""
    noise_level: float = 0.15
    noise_samples: int = 20
    seed: int = 0
    precision: Precision = "float32"
    batch: int = 0  # images in one forward pass; fewer where memory is short


class Extent(NamedTuple):
    """On what it depends how many images a method takes through the network, beside the method."""

    size: tuple[int, int]  # of the image, in pixels
    baselines: int = 1
    regions: int = 0  # superpixels
    steps: int = 0
    samples: int = 0
    window: tuple[int, int] = (1, 1)  # side and stride of what is occluded, in pixels
    batch: int = 8  # images at once
    smoothed: bool = False


def window_of(settings: Settings, size: tuple[int, int]) -> tuple[int, int]:
    """Side and stride of what is occluded, in pixels: at most an eighth of the image, moved by its half."""
    side = settings.window or max(1, min(size) // 8)
    return side, settings.stride or max(1, side // 2)


class Part(NamedTuple):
    """A call of Captum's, and its weight in the mean of all."""

    algorithm: Any
    arguments: dict[str, Any]
    weight: int = 1


class Call(NamedTuple):
    score: Score
    image: Tensor
    baselines: Tensor  # (B, C, H, W)
    settings: Settings
    samples: int
    batch: int
    operation: str

    @property
    def baseline(self) -> Tensor:
        return self.baselines[:1]

    @property
    def path(self) -> dict[str, Any]:
        """From the baseline to the image."""
        return {"baselines": self.baseline, "n_steps": self.settings.steps, "internal_batch_size": self.batch}

    @property
    def layer(self) -> nn.Module:
        return self.score.layer(self.operation)

    @property
    def regions(self) -> dict[str, Any]:
        mask = torch.from_numpy(self.settings.superpixels).to(self.image.device).expand(self.image.shape)
        return {"baselines": self.baseline, "feature_mask": mask, "perturbations_per_eval": self.batch}


def never(_: Extent) -> int:
    return 0


@dataclass(frozen=True, eq=False)
class Method:
    """`parts` are the calls of Captum's, `passes` the images that they take through the network without smoothing.

    `reads` are the settings on which the map depends, and no others. `of` says what the values belong to.
    `complete`: the values sum to the score's change from baseline to image. `multiplied`: they are contributions
    relative to the baseline; without it, rates of change. A method with `draws` has chance in it; one that `rescales`
    goes back by DeepLift's rules, for which some modules are replaced; one that `hooks` has Captum's hooks on modules.
    `fewest` is how many images it takes at once at
    least. With fewer samples than `fewest_samples` it cannot decide. `departs` says where it is not as Captum has it.
    """

    name: str
    title: str
    paper: str
    parts: Callable[[Call], list[Part]]
    passes: Callable[[Extent], int]
    reads: Set[Setting] = frozenset()
    of: Literal["pixels", "regions", "positions", "channels"] = "pixels"
    signed: bool = True
    complete: bool = False
    multiplied: bool = False
    gradients: bool = True
    draws: bool = False
    samples: int = 0
    rescales: bool = False
    hooks: bool = False
    fewest: int = 1
    fewest_samples: Callable[[Extent], int] = never
    departs: str = ""

    @property
    def channels(self) -> bool:
        """Whether the map is of an operation's channels, and not of the image."""
        return self.of == "channels"

    @property
    def compares(self) -> bool:
        """Whether the map is relative to a baseline, or to several."""
        return bool({"baseline", "baselines"} & self.reads)

    @property
    def noise(self) -> bool:
        """Whether it may be smoothed with noise."""
        return "noise" in self.reads

    @property
    def half(self) -> bool:
        """Whether it may be computed in bfloat16.

        Measured is the cosine with float32's map. On 12 test images of Shapes and each of the project's four trained
        networks it was at least 0.971 for a single gradient (Saliency, Gradient, Input × Gradient; 0.99 in the median),
        0.998 for Integrated Gradients and Gradient SHAP, 0.999 for Grad-CAM and 0.995 smoothed; of ranks at least 0.93.
        The share of the score's change that Integrated Gradients misses stayed as it was (at most 0.047 and 0.052). A
        deep network with fresh weights has gradients that any rounding changes: ResNet-50 at 224 px had 0.2 of
        Gradient, 0.26 of Integrated Gradients and 0.91 of Grad-CAM, DenseNet-121 0.77, 0.83 and 0.997.

        ResNet-50 at 224 px took, by processor time on one core with AVX-512's instructions, forwards and backwards, an
        image: 188 ms in float32's fast form, 98 ms in bfloat16's; step by step 258 and 131 ms.
        """
        return "precision" in self.reads

    def is_fast(self, settings: Settings) -> bool:
        """Whether it takes many passes and looks at nothing inside, so that the network's fast form serves."""
        many = bool({"steps", "samples", "window", "superpixels"} & self.reads) or bool(settings.noise)
        return many and not (self.rescales or self.hooks or "operation" in self.reads)

    def is_signed(self, settings: Settings) -> bool:
        """Whether the map may have values of both signs; with a ReLU, or squared or as variances, it has not."""
        cut = "relu" in self.reads and settings.relu
        return self.signed and not cut and settings.noise in ("", "smoothgrad")
