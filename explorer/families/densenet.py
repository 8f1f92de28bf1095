"""DenseNet (Huang et al., 1608.06993): every layer reads all that came before it. Names follow torchvision."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from explorer.families.config import Config, Stem, read_stem, write_stem
from explorer.families.family import Family, Preset
from explorer.families.tensors import Tensors, kept_share
from explorer.plan import Op, Recorder
from explorer.plan.kinds.joins import Features


class DenseNetConfig(Config, Stem):
    family: Literal["densenet"] = "densenet"
    growth_rate: int = Field(
        32,
        ge=1,
        le=128,
        title="Growth rate k",
        description="channels that each layer adds to what all later layers read",
        json_schema_extra={"usual": 64, "grows": True},
    )
    blocks: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        (6, 12, 24, 16),
        min_length=3,
        max_length=5,
        title="Layers",
        description="layers of each dense block; a transition between blocks halves the image",
        json_schema_extra={"usual": 64, "grows": True},
    )
    bottleneck: int = Field(
        4,
        ge=0,
        le=8,
        title="Bottleneck b",
        description="a 1x1 convolution to b times k channels before each 3x3; 0: none (with it: DenseNet-B)",
        json_schema_extra={"grows": True, "off": 0},
    )
    compression: float = Field(
        0.5,
        ge=0.1,
        le=1,
        title="Compression θ",
        description="share of channels that a transition keeps; 1: all (below 1: DenseNet-C)",
        json_schema_extra={"step": 0.05, "grows": True},
    )

    MAIN: ClassVar[tuple[str, ...]] = ("growth_rate", "blocks", "bottleneck", "compression")

    @model_validator(mode="after")
    def _possible(self) -> "DenseNetConfig":
        self.refuse_too_small(self.stem_halvings + len(self.blocks) - 1, f"the stem and {len(self.blocks)} blocks")
        self.refuse_single_values(write)
        return self


def write(net: Recorder, cfg: DenseNetConfig) -> None:
    with net.stage("stem", "features."):
        # on small images the stem is the convolution alone: each layer begins with its own norm and ReLU
        x = write_stem(net, cfg, ("conv0", "norm0", "relu0", "pool0"), activate=cfg.stem != "cifar")
    for b, layers in enumerate(cfg.blocks, start=1):
        with net.stage(f"block {b}", f"features.denseblock{b}."):
            features = Features([x])
            for i in range(1, layers + 1):
                with net.block(f"layer {i}", f"denselayer{i}."):
                    features.append(dense_layer(net, features, cfg.growth_rate, cfg))
            x = net.concat("concat", features)
        if b < len(cfg.blocks):
            with net.stage(f"transition {b}", f"features.transition{b}."):
                x = transition(net, x, cfg.compression)
    with net.stage("head"):
        x = net.activation("features.relu5", net.norm("features.norm5", x))
        net.linear("classifier", net.global_pool("avgpool", x), cfg.classes)


def dense_layer(net: Recorder, features: Features, k: int, cfg: DenseNetConfig) -> Op:
    """Norm-ReLU-1x1 to b*k, norm-ReLU-3x3 to k, on the concat of all earlier features.

    (sum of C_i, H, W) -> (k, H, W)
    """
    x = net.activation("relu1", net.norm("norm1", net.concat("concat", features)))
    if not cfg.bottleneck:
        x = net.conv("conv1", x, k, kernel=3)
    else:
        x = net.conv("conv1", x, cfg.bottleneck * k, kernel=1)
        x = net.conv("conv2", net.activation("relu2", net.norm("norm2", x)), k, kernel=3)
    # once a layer, as torchvision; the paper (section 4.1) has it after each convolution
    return net.dropout("dropout", x, cfg.dropout)


def transition(net: Recorder, x: Op, theta: float) -> Op:
    """Norm-ReLU-1x1 to floor(theta * C), then half the size: (C, H, W) -> (theta C, H/2, W/2)."""
    channels = max(1, int(x.shape[0] * theta))
    x = net.conv("conv", net.activation("relu", net.norm("norm", x)), channels, kernel=1)
    return net.avg_pool("pool", x, kernel=2, stride=2)


def recognise(tensors: Tensors) -> dict[str, Any] | None:
    layer = "features.denseblock1.denselayer1."
    if f"{layer}conv1.weight" not in tensors:
        return None
    blocks = tensors.counts("features.denseblock", "denselayer")
    first = tensors.out(f"{layer}conv1.weight")
    k = tensors.out(f"{layer}conv2.weight") if f"{layer}conv2.weight" in tensors else first
    transitions = [tensors.sizes(f"features.transition{b}.conv.weight") for b in range(1, len(blocks))]
    return read_stem(tensors, "features.conv0") | {
        "blocks": blocks,
        "growth_rate": k,
        "bottleneck": first // k if f"{layer}conv2.weight" in tensors else 0,
        "compression": kept_share((before, after) for after, before, _, _ in transitions),
        "norm": tensors.norm,
        "classes": tensors.answers("classifier.weight"),
    }


def depth(cfg: DenseNetConfig) -> int:
    """The L of the paper: stem, all convolutions of the layers, the transitions, the classifier."""
    return (2 if cfg.bottleneck else 1) * sum(cfg.blocks) + len(cfg.blocks) - 1 + 2


def depths(cfg: DenseNetConfig) -> Mapping[str, dict[str, Any]]:
    if cfg.stem != "cifar":
        # all of these have bottlenecks: a depth counts their 1x1 convolutions too
        return {str(d): {"blocks": blocks, "bottleneck": cfg.bottleneck or 4} for d, blocks in IMAGENET.items()}
    convs = 2 if cfg.bottleneck else 1
    return {str(d): {"blocks": ((d - 4) // (3 * convs),) * 3} for d in (40, 100, 190, 250)}


IMAGENET: Mapping[int, tuple[int, ...]] = {
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}


def _imagenet(depth: int) -> DenseNetConfig:
    fields: dict[str, Any] = {"growth_rate": 48, "stem_width": 96} if depth == 161 else {}
    return DenseNetConfig.parse({"blocks": IMAGENET[depth]} | fields)


def _cifar(depth: int, k: int, bc: bool = False) -> DenseNetConfig:
    # 0, 1: the plain form; 4, 0.5: bottleneck and compression (BC), whose stem is twice the growth rate
    form = {"bottleneck": 4, "compression": 0.5} if bc else {"bottleneck": 0, "compression": 1.0}
    small = {"stem": "cifar", "stem_width": 2 * k if bc else 16, "input_size": 32, "classes": 10}
    return DenseNetConfig.parse(form | small | {"growth_rate": k, "blocks": ((depth - 4) // (6 if bc else 3),) * 3})


def _tiny(**fields: Any) -> DenseNetConfig:
    small = {"stem": "cifar", "stem_width": 8, "input_size": 16, "classes": 5}
    return DenseNetConfig.parse(small | {"growth_rate": 4, "blocks": (2, 3, 2)} | fields)


FAMILY = Family(
    name="densenet",
    title="DenseNet",
    year=2016,
    colour="#D55E00",
    joins="concatenation",
    config=DenseNetConfig,
    write=write,
    depth=depth,
    depths=depths,
    recognise=recognise,
    width=lambda cfg: cfg.growth_rate,
    width_is="the growth rate k: channels that each layer adds",
    presets={
        **{
            f"densenet{d}": Preset(f"DenseNet-{d}", _imagenet(d), torchvision="" if d == 264 else f"densenet{d}")
            for d in IMAGENET
        },
        **{
            f"densenet{d}_{k}_cifar": Preset(f"DenseNet-{d}, k={k} (CIFAR)", _cifar(d, k))
            for d, k in ((40, 12), (100, 12), (100, 24))
        },
        **{
            f"densenet_bc{d}_{k}_cifar": Preset(f"DenseNet-BC-{d}, k={k} (CIFAR)", _cifar(d, k, bc=True))
            for d, k in ((40, 12), (100, 12), (250, 24), (190, 40))
        },
    },
    examples=(
        _tiny(),
        _tiny(bottleneck=0, compression=1.0, norm="none"),
        _tiny(stem="imagenet", input_size=32, dropout=0.2),
    ),
    about=(
        r"A layer reads **everything** before it and adds $k$ channels: "
        r"$x_l = H_l([x_0, x_1, \ldots, x_{l-1}])$. Nothing is summed, so nothing is overwritten: early features "
        r"stay readable, few channels per layer suffice, and the loss reaches each layer directly."
    ),
    papers={"Huang et al. 2017: Densely connected convolutional networks": "https://arxiv.org/abs/1608.06993"},
    beside=("plain44_cifar", "plain34"),  # nothing joins their layers
    # saved before 2018 (torchvision's own files among them) they have "norm.1" where there is "norm1" today
    old_names={r"(\bdenselayer\d+\.(?:norm|conv))\.([12]\.)": r"\1\2"},
)
