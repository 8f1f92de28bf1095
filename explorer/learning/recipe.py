"""How is a network trained? A recipe: frozen knobs, checked where they are set, and the papers' own as presets."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple, get_args

from pydantic import Field

from explorer.families.knobs import Knobs

Optimizer = Literal["nesterov", "sgd", "adamw"]
Schedule = Literal["one-cycle", "cosine", "steps", "constant"]
Augmentation = Literal["none", "flip", "crop", "flip and crop"]
Precision = Literal["float32", "bfloat16"]

ONE_CYCLE_WARMUP = 0.25  # of the run, as long as `warmup` says nothing longer
START = 25  # warm-up begins at the peak's 25th part, as torch's OneCycleLR does
MOST_EVALUATIONS = 30  # of the test images while a network learns, about
MILESTONES = (0.5, 0.75)  # of the run, after which `steps` goes on with a tenth of the rate


class Recipe(Knobs):
    """The seed decides the weights at the start, the order of the images, augmentation and dropout."""

    epochs: int = Field(
        12,
        ge=1,
        le=1000,
        title="Epochs",
        description="how often each image is learned from",
        json_schema_extra={"usual": 60},
    )
    batch_size: int = Field(
        128,
        ge=1,
        le=4096,
        title="Batch size",
        description="images in a step; an incomplete batch at an epoch's end is left out",
        json_schema_extra={"usual": 512},
    )
    learning_rate: float = Field(
        0.1,
        ge=1e-6,
        le=10,
        title="Learning rate",
        description="at its highest",
        json_schema_extra={"usual": 1, "step": 0.01},
    )
    schedule: Schedule = Field(
        "one-cycle",
        title="Schedule",
        description="one-cycle: up for a quarter of the run, then down to zero along a cosine; cosine: down to zero; "
        "steps: a tenth after half of the run and again after three quarters, as in the ResNet and DenseNet papers",
    )
    optimizer: Optimizer = Field(
        "nesterov",
        title="Optimizer",
        description="nesterov, sgd: with momentum, and with Nesterov's or the plain kind; adamw: Adam with decoupled "
        "weight decay (1711.05101)",
    )
    momentum: float = Field(
        0.9, ge=0, le=0.999, title="Momentum", description="of SGD; AdamW's first", json_schema_extra={"step": 0.01}
    )
    weight_decay: float = Field(
        5e-4,
        ge=0,
        le=1,
        title="Weight decay",
        description="of all weights, norms' included, as in the papers",
        json_schema_extra={"usual": 0.01, "step": 1e-4},
    )
    warmup: float = Field(
        0.0,
        ge=0,
        le=0.9,
        title="Warm-up",
        description="share of the run in which the learning rate rises to its highest",
        json_schema_extra={"step": 0.05},
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        le=0.9,
        title="Label smoothing",
        description="share of the target that all classes are given alike (1512.00567)",
        json_schema_extra={"step": 0.05},
    )
    augmentation: Augmentation = Field(
        "none",
        title="Augmentation",
        description="flip: half of the images are mirrored; crop: images are shifted by up to an eighth of their side, "
        "with the mean colour around (4 pixels of 32, as in the papers)",
    )
    precision: Precision = Field(
        "float32",
        title="Precision",
        description="bfloat16: convolutions in 16 bits where torch's autocast does so, weights in 32",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Seed", description="of weights, order, augmentation and dropout")

    MAIN: ClassVar[tuple[str, ...]] = ("epochs", "batch_size", "learning_rate", "schedule", "augmentation")
    OF: ClassVar[str] = "a recipe"


class Paper(NamedTuple):
    """A recipe by the name that people know it under; `source` says where it is from, and what differs here."""

    title: str
    source: str
    recipe: Recipe


QUICK = "quick"

RECIPES: Mapping[str, Paper] = MappingProxyType(
    {
        QUICK: Paper("Quick look", "Small networks on small images, in minutes; one-cycle as in 1708.07120", Recipe()),
        "resnet": Paper(
            "ResNet on CIFAR",
            "He et al., 1512.03385, section 4.2: 64,000 steps, a tenth of the rate after 32,000 and 48,000. The paper "
            "trains on 45,000 images, which makes 182 epochs of them; here 164, which are 64,000 steps of 50,000",
            Recipe(
                epochs=164,
                schedule="steps",
                optimizer="sgd",
                weight_decay=1e-4,
                augmentation="flip and crop",
            ),
        ),
        "densenet": Paper(
            "DenseNet on CIFAR",
            "Huang et al., 1608.06993, section 4.2: 300 epochs, a tenth of the rate after half and three quarters",
            Recipe(epochs=300, batch_size=64, schedule="steps", weight_decay=1e-4, augmentation="flip and crop"),
        ),
        "cliquenet": Paper(
            "CliqueNet on CIFAR",
            "Yang et al., 1802.10419, section 4: 300 epochs with DenseNet's batch, rate and decay, and no augmentation",
            Recipe(epochs=300, batch_size=64, schedule="steps", weight_decay=1e-4),
        ),
    }
)


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step (from 0) of a run of so many steps."""
    peak, schedule = recipe.learning_rate, recipe.schedule
    share = max(recipe.warmup, ONE_CYCLE_WARMUP) if schedule == "one-cycle" else recipe.warmup
    rising = round(share * steps)
    if step < rising:
        start = peak / START
        return start + (peak - start) * step / rising
    if schedule == "constant":
        return peak
    if schedule == "steps":
        return peak * 0.1 ** sum(step >= milestone * steps for milestone in MILESTONES)
    done = (step - rising) / max(1, steps - rising)
    return peak * 0.5 * (1 + math.cos(math.pi * done))


def evaluated_each(epochs: int) -> int:
    """After every so many epochs the test images are looked at, and after the last."""
    return max(1, epochs // MOST_EVALUATIONS)


def mirrors(augmentation: Augmentation) -> bool:
    return augmentation in ("flip", "flip and crop")


def crops(augmentation: Augmentation) -> bool:
    return augmentation in ("crop", "flip and crop")


AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
