"""VGG (Simonyan & Zisserman, 1409.1556): 3x3 convolutions, one upon the other. Names follow torchvision.

The plain ancestor: nothing joins its layers, and beyond 19 of them the paper's authors found no gain.
"""

from collections.abc import Mapping
from math import isqrt
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from explorer.families.config import Config
from explorer.families.family import Family, Preset
from explorer.families.tensors import Tensors
from explorer.plan import Norms, Op, Recorder


class VGGConfig(Config):
    family: Literal["vgg"] = "vgg"
    norm: Norms = Field(
        "none",
        title="Norm",
        description="none, as in the paper; batch, which came later, or group (32 groups). "
        "The convolutions carry a bias in any case",
    )
    dropout: float = Field(
        0.5,
        ge=0,
        le=0.9,
        title="Dropout",
        description="share of activations dropped in training, after each hidden layer of the classifier",
        json_schema_extra={"step": 0.05, "changes_costs": False},
    )
    layers: tuple[Annotated[int, Field(ge=1, le=16)], ...] = Field(
        (2, 2, 3, 3, 3),
        min_length=3,
        max_length=5,
        title="Layers",
        description="3x3 convolutions of each stage; a max pool after each stage halves the image",
        json_schema_extra={"usual": 8, "grows": True},
    )
    widths: tuple[Annotated[int, Field(ge=4, le=2048)], ...] = Field(
        (64, 128, 256, 512, 512),
        min_length=3,
        max_length=5,
        title="Channels",
        description="channels of each stage's convolutions",
        json_schema_extra={"usual": 512, "step": 4, "grows": True},
    )
    pool_size: int = Field(
        7,
        ge=1,
        le=14,
        title="Pooled size",
        description="side of the map that the classifier reads as one vector, whatever the size of the image",
        json_schema_extra={"unit": "px", "grows": True},
    )
    hidden: int = Field(
        4096,
        ge=0,
        le=8192,
        title="Classifier width",
        description="width of the classifier's two hidden layers; 0: none, the classifier reads the features itself",
        json_schema_extra={"usual": 4096, "step": 64, "grows": True, "off": 0},
    )

    MAIN: ClassVar[tuple[str, ...]] = ("layers", "widths", "pool_size", "hidden")
    ALIGNED: ClassVar[tuple[str, ...]] = ("layers", "widths")

    def unused(self) -> dict[str, str]:
        return {} if self.hidden else {"dropout": "the classifier has no hidden layer"}

    @model_validator(mode="after")
    def _possible(self) -> "VGGConfig":
        self.refuse_unused()
        self.refuse_unaligned("stages")
        self.refuse_too_small(len(self.layers), f"{len(self.layers)} stages")
        return self


def write(net: Recorder, cfg: VGGConfig) -> None:
    x = net.input
    at = 0  # torchvision numbers the features through, without regard to stages
    for s, (layers, width) in enumerate(zip(cfg.layers, cfg.widths, strict=True), start=1):
        with net.stage(f"stage {s}", "features."):
            for i in range(1, layers + 1):
                with net.block(f"layer {i}", ""):
                    x, at = layer(net, x, width, at)
            x, at = net.max_pool(f"{at}", x, kernel=2, stride=2), at + 1
    with net.stage("head"):
        x = net.adaptive_pool("avgpool", x, cfg.pool_size) if cfg.pool_size > 1 else net.global_pool("avgpool", x)
        for i in (0, 3) if cfg.hidden else ():
            x = net.activation(f"classifier.{i + 1}", net.linear(f"classifier.{i}", x, cfg.hidden))
            x = net.dropout(f"classifier.{i + 2}", x, cfg.dropout)
        net.linear("classifier.6" if cfg.hidden else "classifier", x, cfg.classes)


def layer(net: Recorder, x: Op, width: int, at: int) -> tuple[Op, int]:
    """3x3, norm, activation: (C, H, W) -> (width, H, W), and the number at which the features go on."""
    convolved = net.conv(f"{at}", x, width, kernel=3, bias=True)
    x = net.norm(f"{at + 1}", convolved)
    at += 1 if x is convolved else 2
    return net.activation(f"{at}", x), at + 1


def recognise(tensors: Tensors) -> dict[str, Any] | None:
    """A convolution whose number is one further on than its neighbours' is behind a pool."""
    if "features.0.weight" not in tensors:
        return None
    numbers = [at for at in tensors.numbers("features.") if len(tensors.shapes.get(f"features.{at}.weight", ())) == 4]
    norm = tensors.norm
    next_to = 2 if norm == "none" else 3  # convolution, norm, activation
    layers, widths = [0], [tensors.out("features.0.weight")]
    for before, at in zip([-next_to, *numbers], numbers, strict=False):
        if at > before + next_to:
            layers.append(0)
            widths.append(tensors.out(f"features.{at}.weight"))
        layers[-1] += 1
    hidden = "classifier.0.weight" in tensors
    wide, read = tensors.sizes("classifier.0.weight" if hidden else "classifier.weight", 2)
    pool = isqrt(read // widths[-1])
    return {
        "layers": tuple(layers),
        "widths": tuple(widths),
        "norm": norm,
        "channels": tensors.sizes("features.0.weight")[1],
        "pool_size": pool,
        "hidden": wide if hidden else 0,
        "classes": tensors.answers("classifier.6.weight" if hidden else "classifier.weight"),
        # that the pools leave what the classifier reads: five leave 7 pixels of 224, and one of 32
        "input_size": min(1024, max(8, pool * 2 ** min(len(layers), 9))),
    }


def depth(cfg: VGGConfig) -> int:
    """Weighted layers, as the paper counts: the convolutions and the linear layers."""
    return sum(cfg.layers) + (3 if cfg.hidden else 1)


def depths(cfg: VGGConfig) -> Mapping[str, dict[str, Any]]:
    # all of these have hidden layers in the classifier: a depth counts them too
    return {str(d): {"layers": layers, "hidden": cfg.hidden or 4096} for d, layers in DEPTHS.items()}


# the paper's configurations A, B, D and E (table 1); C, whose last convolutions are 1x1, is not among torchvision's
DEPTHS: Mapping[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def _cifar(depth: int) -> VGGConfig:
    # the last of the five pools leaves one pixel of 32
    small = {"input_size": 32, "classes": 10, "pool_size": 1, "hidden": 512, "norm": "batch"}
    return VGGConfig.parse(small | {"layers": DEPTHS[depth]})


def _tiny(**fields: Any) -> VGGConfig:
    small = {"layers": (1, 1, 2, 1, 1), "widths": (4, 8, 8, 8, 8), "input_size": 32, "classes": 5}
    return VGGConfig.parse(small | {"pool_size": 2, "hidden": 16} | fields)


FAMILY = Family(
    name="vgg",
    title="VGG",
    year=2014,
    colour="#CC79A7",
    joins="nothing",
    config=VGGConfig,
    write=write,
    depth=depth,
    depths=depths,
    recognise=recognise,
    width=lambda cfg: min(cfg.widths),
    width_is="channels of the convolutions, in the stage that has the fewest",
    presets={
        **{f"vgg{d}": Preset(f"VGG-{d}", VGGConfig(layers=layers), f"vgg{d}") for d, layers in DEPTHS.items()},
        **{
            f"vgg{d}_bn": Preset(f"VGG-{d}-BN", VGGConfig(layers=layers, norm="batch"), f"vgg{d}_bn")
            for d, layers in DEPTHS.items()
        },
        **{f"vgg{d}_bn_cifar": Preset(f"VGG-{d}-BN (CIFAR)", _cifar(d)) for d in DEPTHS},
    },
    examples=(
        _tiny(),
        _tiny(layers=(2, 1, 1), widths=(4, 8, 8), input_size=24, pool_size=3, hidden=0, norm="batch"),
        _tiny(layers=(1, 2, 1), widths=(8, 8, 8), input_size=40, pool_size=3, norm="group", activation="silu"),
        _tiny(layers=(1, 1, 1), widths=(4, 4, 8), input_size=16, pool_size=1, dropout=0.0),
    ),
    about=(
        r"Only 3×3 convolutions, one upon the other: two of them see 5×5 pixels, three see 7×7, with $27C^2$ weights "
        r"where one 7×7 has $49C^2$, and with a nonlinearity after each. Nothing joins the layers: the gradient has "
        r"one way, through all of them. Most of the weights are in the classifier's first layer."
    ),
    beside=("resnet20_cifar", "resnet18"),  # 3x3 convolutions of about as many layers, with shortcuts
    papers={"Simonyan & Zisserman 2015: Very deep convolutional networks": "https://arxiv.org/abs/1409.1556"},
)
