"""ResNet and its kin: plain, pre-activation, ResNeXt, wide, ResNet-C and -D.

He et al. 1512.03385 (ResNet), 1603.05027 (pre-activation); Xie et al. 1611.05431 (ResNeXt);
Zagoruyko & Komodakis 1605.07146 (wide); another He et al., 1812.01187 (ResNet-C and -D). Names follow torchvision,
and timm where torchvision has no such network.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from explorer.families.config import Config, Stem, read_stem, write_stem
from explorer.families.family import COMMON_SIBLINGS, Comparison, Explanation, Family, Preset, Sibling
from explorer.families.tensors import Tensors
from explorer.plan import Op, Recorder

EXPANSION = {"basic": 1, "bottleneck": 4}
CONVS = {"basic": 2, "bottleneck": 3}


class ResNetConfig(Config, Stem):
    family: Literal["resnet"] = "resnet"
    block: Literal["basic", "bottleneck"] = Field(
        "bottleneck", title="Block", description="basic: 3x3, 3x3; bottleneck: 1x1, 3x3, 1x1 to four times the width"
    )
    blocks: tuple[Annotated[int, Field(ge=1, le=200)], ...] = Field(
        (3, 4, 6, 3),
        min_length=3,
        max_length=4,
        title="Blocks",
        description="residual blocks of each stage; each stage after the first halves the image and doubles the width",
        json_schema_extra={"usual": 40, "grows": True},
    )
    width: int = Field(
        64,
        ge=4,
        le=1024,
        title="Width",
        description="channels of the first stage's 3x3 convolutions; a bottleneck's output has four times as many",
        json_schema_extra={"usual": 256, "step": 4, "grows": True},
    )
    cardinality: int = Field(
        1,
        ge=1,
        le=128,
        title="Cardinality",
        description="groups of the bottleneck's 3x3: how many paths a block splits into (ResNeXt)",
        json_schema_extra={"usual": 64},
    )
    group_width: int = Field(
        0,
        ge=0,
        le=512,
        title="Group width",
        description="channels of each path in the first stage; 0: the width shared out among the paths",
        json_schema_extra={"usual": 128, "grows": True, "off": 0},
    )
    order: Literal["post", "pre"] = Field(
        "post",
        title="Order",
        description="post: convolution, norm, ReLU, and a ReLU after the add; pre: norm, ReLU, convolution, "
        "and nothing on the shortcut's way (1603.05027)",
    )
    shortcut: Literal["A", "B", "C", "D", "none"] = Field(
        "B",
        title="Shortcut",
        description="B: identity, a projection where the shape changes; A: identity, zero padding where it changes; "
        "C: projections everywhere; D: as B, but a mean over 2x2 pixels halves the image before the projection "
        "(1812.01187); none: a plain network",
    )
    first_split: Literal["after", "before"] = Field(
        "after",
        title="First shortcut splits",
        description="where the first pre-activation block parts if it keeps its shape: after its norm and ReLU "
        "(1603.05027, appendix) or before them (timm's resnetv2, pytorchcv's preresnet); blocks that change the shape "
        "part after, later ones before",
    )
    stride_on: Literal["3x3", "1x1"] = Field(
        "3x3",
        title="Stride on",
        description="which convolution of a bottleneck halves the image: 3x3 as in torchvision (v1.5), "
        "1x1 as in the paper",
    )
    squeeze_excitation: int = Field(
        0,
        ge=0,
        le=32,
        title="Squeeze-and-excitation",
        description="each block's output weighted channel by channel through a bottleneck of this ratio; "
        "0: off, 16: the paper's (1709.01507)",
    )
    squeeze_in_eights: bool = Field(
        False,
        title="Squeeze width in eights",
        description="squeeze-and-excitation's narrow layer has the nearest multiple of 8 channels, at least 8, as in "
        "timm; off: the channels divided by the ratio, rounded down",
    )
    drop_path: float = Field(
        0.0,
        ge=0,
        le=0.9,
        title="Stochastic depth",
        description="chance that training skips the last block; earlier blocks less, in proportion (1603.09382)",
        json_schema_extra={"step": 0.05, "changes_costs": False},
    )
    zero_init: bool = Field(
        False,
        title="Zero-initialised last norm",
        description="every branch starts at zero, every block as the identity (1706.02677)",
        json_schema_extra={"changes_costs": False},
    )

    MAIN: ClassVar[tuple[str, ...]] = ("block", "blocks", "width", "cardinality", "group_width", "order", "shortcut")

    def unused(self) -> dict[str, str]:
        why: dict[str, str] = {}
        if self.block == "basic":
            no_1x1 = "only a bottleneck has a grouped 3x3 between two 1x1"
            why |= {"cardinality": no_1x1, "group_width": no_1x1, "stride_on": "a basic block has no 1x1"}
        if self.norm == "none":
            why["zero_init"] = "there is no norm to initialise"
        elif self.order == "pre":
            why["zero_init"] = "a pre-activation branch ends in a convolution, not in a norm"
        if self.order == "post":
            why["first_split"] = "a block that ends in an activation has none before its first convolution"
        elif self.shortcut == "none":
            why["first_split"] = "a plain network has no shortcut"
        elif self.stem_width != self.width * EXPANSION[self.block]:
            why["first_split"] = "the first block changes the shape, and its shortcut reads the activation"
        if not self.squeeze_excitation:
            why["squeeze_in_eights"] = "there is no squeeze-and-excitation"
        if self.shortcut == "none":
            why["drop_path"] = "a plain network has no shortcut that could carry a skipped block"
            why.setdefault("zero_init", "a plain network would start, and stay, at zero")
        return why

    @model_validator(mode="after")
    def _possible(self) -> "ResNetConfig":
        self.refuse_unused()
        self.refuse_too_small(self.stem_halvings + len(self.blocks) - 1, f"the stem and {len(self.blocks)} stages")
        if not self.group_width and self.width % self.cardinality:
            fits = max(c for c in range(1, self.cardinality) if self.width % c == 0)
            raise ValueError(
                f"cardinality={self.cardinality} does not divide width={self.width}; "
                f"use cardinality={fits}, or say how many channels each path has with group_width"
            )
        if self.group_width * self.cardinality > 4096:
            raise ValueError(
                f"group_width={self.group_width}: {self.cardinality} paths of it are "
                f"{self.group_width * self.cardinality} channels; use at most {4096 // self.cardinality}"
            )
        out = self.width * EXPANSION[self.block]
        if self.shortcut == "A" and self.stem_width > out:
            raise ValueError(
                f"shortcut='A': zero padding cannot narrow stem_width={self.stem_width} to {out}; "
                f"use stem_width={out} or less, or shortcut='B'"
            )
        self.refuse_single_values(write)
        return self


def write(net: Recorder, cfg: ResNetConfig) -> None:
    pre = cfg.order == "pre"
    with net.stage("stem"):
        x = write_stem(net, cfg, ("conv1", "bn1", "relu", "maxpool"), activate=not pre)
    total, done = sum(cfg.blocks), 0
    for s, count in enumerate(cfg.blocks):
        with net.stage(f"stage {s + 1}", f"layer{s + 1}."):
            for b in range(count):
                done += 1
                stride = 2 if s and not b else 1
                with net.block(f"block {b}", f"{b}."):
                    x = residual_block(net, x, cfg.width * 2**s, stride, cfg.drop_path * done / total, cfg)
    with net.stage("head"):
        if pre:
            x = net.activation("relu", net.norm("bn", x))
        net.linear("fc", net.global_pool("avgpool", x), cfg.classes)


def residual_block(net: Recorder, x: Op, width: int, stride: int, drop: float, cfg: ResNetConfig) -> Op:
    """Branch and shortcut, joined: (C, H, W) -> (expansion * width, H/stride, W/stride)."""
    pre = cfg.order == "pre"
    out = width * EXPANSION[cfg.block]
    changes = stride > 1 or x.shape[0] != out
    first = x.stage == "stem"
    y, skip = x, x
    if pre:
        y = net.activation("relu1", net.norm("bn1", x))
        # units that project split after the activation, and so does the first by the appendix of 1603.05027
        if changes or (first and cfg.first_split == "after"):
            skip = y
    y = (basic if cfg.block == "basic" else bottleneck)(net, y, width, stride, cfg)
    if cfg.squeeze_excitation:
        y = squeeze_excitation(net, y, cfg.squeeze_excitation, cfg.squeeze_in_eights)
    if cfg.shortcut != "none":
        y = net.add("add", net.drop_path("drop_path", y, drop), shortcut(net, skip, out, stride, changes, cfg))
    return y if pre else net.activation(f"relu{CONVS[cfg.block]}", y)


def basic(net: Recorder, x: Op, width: int, stride: int, cfg: ResNetConfig) -> Op:
    """3x3, 3x3."""
    if cfg.order == "pre":
        x = net.conv("conv1", x, width, kernel=3, stride=stride)
        x = net.dropout("dropout", net.activation("relu2", net.norm("bn2", x)), cfg.dropout)
        return net.conv("conv2", x, width, kernel=3)
    x = net.activation("relu1", net.norm("bn1", net.conv("conv1", x, width, kernel=3, stride=stride)))
    # dropout between the convolutions, as in the wide ResNets (1605.07146, section 2.4)
    x = net.conv("conv2", net.dropout("dropout", x, cfg.dropout), width, kernel=3)
    return net.norm("bn2", x, zero=cfg.zero_init)


def bottleneck(net: Recorder, x: Op, width: int, stride: int, cfg: ResNetConfig) -> Op:
    """1x1 down, 3x3 in `cardinality` groups, 1x1 up to four times the width."""
    inner = cfg.cardinality * cfg.group_width * width // cfg.width if cfg.group_width else width
    # stride on the 3x3, not on the paper's first 1x1: torchvision's weights were trained so (ResNet v1.5)
    on_1x1, on_3x3 = (stride, 1) if cfg.stride_on == "1x1" else (1, stride)
    if cfg.order == "pre":
        x = net.conv("conv1", x, inner, kernel=1, stride=on_1x1)
        x = net.activation("relu2", net.norm("bn2", x))
        x = net.conv("conv2", x, inner, kernel=3, stride=on_3x3, groups=cfg.cardinality)
        x = net.dropout("dropout", net.activation("relu3", net.norm("bn3", x)), cfg.dropout)
        return net.conv("conv3", x, 4 * width, kernel=1)
    x = net.activation("relu1", net.norm("bn1", net.conv("conv1", x, inner, kernel=1, stride=on_1x1)))
    x = net.conv("conv2", x, inner, kernel=3, stride=on_3x3, groups=cfg.cardinality)
    x = net.dropout("dropout", net.activation("relu2", net.norm("bn2", x)), cfg.dropout)
    return net.norm("bn3", net.conv("conv3", x, 4 * width, kernel=1), zero=cfg.zero_init)


def shortcut(net: Recorder, x: Op, out: int, stride: int, changes: bool, cfg: ResNetConfig) -> Op:
    """The way round the branch: x itself, or x brought to the branch's shape."""
    if cfg.shortcut == "A" and changes:
        return net.pad("pad", x, out, stride)
    if cfg.shortcut == "D" and changes:
        return averaged_projection(net, x, out, stride, cfg)
    if changes or cfg.shortcut == "C":
        x = net.conv("downsample.0", x, out, kernel=1, stride=stride)
        return x if cfg.order == "pre" else net.norm("downsample.1", x)
    return x


def averaged_projection(net: Recorder, x: Op, out: int, stride: int, cfg: ResNetConfig) -> Op:
    """ResNet-D: a 1x1 of stride 2 reads a quarter of the pixels, after a mean over 2x2 it reads all (1812.01187)."""
    if stride > 1:
        # an odd side ends in the mean of what is there, as in timm, so that the branch's size is met
        x = net.avg_pool("downsample.0", x, kernel=2, stride=stride, ceil=True)
    x = net.conv("downsample.1", x, out, kernel=1)
    return x if cfg.order == "pre" else net.norm("downsample.2", x)


def squeeze_excitation(net: Recorder, x: Op, ratio: int, in_eights: bool) -> Op:
    """Each channel times a gate in 0..1 that the means of all channels decide (Hu et al., 1709.01507)."""
    channels = x.shape[0]
    narrow = squeezed(channels, ratio, in_eights)
    gate = net.conv("se.fc1", net.global_pool("se.avgpool", x), narrow, kernel=1, bias=True)
    gate = net.conv("se.fc2", net.activation("se.relu", gate), channels, kernel=1, bias=True)
    return net.multiply("se.scale", x, net.activation("se.gate", gate, "sigmoid"))


def squeezed(channels: int, ratio: int, in_eights: bool) -> int:
    """The width of squeeze-and-excitation's narrow layer."""
    return max(8, (channels + 4 * ratio) // (8 * ratio) * 8) if in_eights else max(1, channels // ratio)


def recognise(tensors: Tensors) -> dict[str, Any] | None:
    """Strides, activations, pools and shortcuts without a projection are as usual: no tensor tells them."""
    first = "layer1.0."
    if f"{first}conv1.weight" not in tensors:
        return None
    fields = read_stem(tensors, "conv1")
    block = "bottleneck" if f"{first}conv3.weight" in tensors else "basic"
    width = tensors.out(f"{first}conv{CONVS[block]}.weight") // EXPANSION[block]
    norm = tensors.norm
    fields |= {
        "block": block,
        "blocks": tensors.counts("layer"),
        "width": width,
        "norm": norm,
        "order": "pre" if norm != "none" and "bn.weight" in tensors else "post",
        "shortcut": _shortcut(tensors, fields["stem_width"], width * EXPANSION[block]),
        "classes": tensors.answers("fc.weight"),
    }
    if block == "bottleneck":
        inner, read, _, _ = tensors.sizes(f"{first}conv2.weight")
        cardinality = inner // read
        fields |= {"cardinality": cardinality, "group_width": 0 if inner == width else inner // cardinality}
    if f"{first}se.fc1.weight" in tensors:
        fields |= _squeeze_excitation(tensors)
    return fields


def _shortcut(tensors: Tensors, before: int, out: int) -> str:
    """`before` and `out` are the channels that enter the first block and leave it."""
    if "layer2.0.downsample.0.weight" in tensors:
        # blocks that change no shape, and project by C alone
        same = ("layer1.0",) if before == out else tuple(f"layer{s}.1" for s in range(1, 5))
        return "C" if any(f"{block}.downsample.0.weight" in tensors for block in same) else "B"
    if "layer2.0.downsample.1.weight" in tensors:
        return "D"
    return "none" if before > out else "A"


def _squeeze_excitation(tensors: Tensors) -> dict[str, Any]:
    """The paper's ratio of 16 where it gives these widths, else the first that does."""
    found: list[tuple[int, int]] = []
    while f"layer{len(found) + 1}.0.se.fc1.weight" in tensors:
        narrow, channels, _, _ = tensors.sizes(f"layer{len(found) + 1}.0.se.fc1.weight")
        found.append((channels, narrow))
    for ratio in (16, *range(1, 33)):
        for eights in (False, True):
            if all(squeezed(channels, ratio, eights) == narrow for channels, narrow in found):
                return {"squeeze_excitation": ratio, "squeeze_in_eights": eights}
    return {"squeeze_excitation": 16}


def depth(cfg: ResNetConfig) -> int:
    """Weighted layers as the papers count: the convolutions of the branches, the stem's one, and the classifier.

    Wide ResNets count 6n + 4: the three projections too, and not the classifier (1605.07146, table 1).
    """
    layers = CONVS[cfg.block] * sum(cfg.blocks)
    return layers + (4 if is_wide(cfg) and cfg.block == "basic" else 2)


def width(cfg: ResNetConfig) -> int:
    """Channels of the first stage's 3x3; each later stage has twice as many."""
    return cfg.cardinality * cfg.group_width or cfg.width


def is_wide(cfg: ResNetConfig) -> bool:
    return cfg.stem == "cifar" and cfg.order == "pre" and cfg.width > cfg.stem_width


def depths(cfg: ResNetConfig) -> Mapping[str, dict[str, Any]]:
    """The depths that the papers name for this stem and block order: label -> fields."""
    if cfg.stem != "cifar":
        return {str(d): {"block": block, "blocks": blocks} for d, (block, blocks) in IMAGENET.items()}
    if is_wide(cfg):
        return {f"{d}": {"block": "basic", "blocks": ((d - 4) // 6,) * 3} for d in (16, 22, 28, 40)}
    if cfg.cardinality > 1:
        return {"29": {"block": "bottleneck", "blocks": (3, 3, 3)}}
    if cfg.order == "pre":
        named = {110: ("basic", 18), 164: ("bottleneck", 18), 1001: ("bottleneck", 111)}
        return {str(d): {"block": block, "blocks": (n,) * 3} for d, (block, n) in named.items()}
    return {str(d): {"block": "basic", "blocks": ((d - 2) // 6,) * 3} for d in (20, 32, 44, 56, 110, 1202)}


IMAGENET: Mapping[int, tuple[str, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


def _imagenet(depth: int, **fields: Any) -> ResNetConfig:
    block, blocks = IMAGENET[depth]
    return ResNetConfig.parse({"block": block, "blocks": blocks} | fields)


def _cifar(block: str, blocks: int, **fields: Any) -> ResNetConfig:
    small = {"stem": "cifar", "stem_width": 16, "width": 16, "input_size": 32, "classes": 10}
    return ResNetConfig.parse(small | {"block": block, "blocks": (blocks,) * 3} | fields)


def _tiny(**fields: Any) -> ResNetConfig:
    small = {"stem": "cifar", "stem_width": 8, "width": 8, "input_size": 16, "classes": 5}
    return ResNetConfig.parse(small | {"block": "basic", "blocks": (1, 2, 1)} | fields)


def _without_shortcuts(cfg: ResNetConfig) -> Explanation | None:
    if cfg.shortcut != "none":
        return None
    return Explanation(
        "a plain network",
        r"This network has no shortcuts: a block **replaces** its input, $y = F(x)$, and the gradient comes back "
        r"through every block alone, $\partial L/\partial x = \partial L/\partial y\;\partial F/\partial x$. That is a "
        r"product of as many factors as there are blocks. With norms it still learns, but deeper plain networks learn "
        r"*worse* than shallower ones, also on the images they learn from: 56 layers worse than 20 (He et al. 2016, "
        r"figure 1). Shortcuts were invented against that.",
    )


FAMILY = Family(
    name="resnet",
    title="ResNet",
    year=2015,
    colour="#0072B2",
    joins="sums",
    config=ResNetConfig,
    write=write,
    depth=depth,
    depths=depths,
    recognise=recognise,
    width=width,
    width_is="channels of the first stage's 3x3 convolutions, all groups together; each later stage has twice as many",
    presets={
        **{
            name: Preset(title, _imagenet(depth, **fields), torchvision=name)
            for name, title, depth, fields in (
                *((f"resnet{d}", f"ResNet-{d}", d, {}) for d in IMAGENET),
                ("resnext50_32x4d", "ResNeXt-50 32x4d", 50, {"cardinality": 32, "group_width": 4}),
                ("resnext101_32x8d", "ResNeXt-101 32x8d", 101, {"cardinality": 32, "group_width": 8}),
                ("resnext101_64x4d", "ResNeXt-101 64x4d", 101, {"cardinality": 64, "group_width": 4}),
                ("wide_resnet50_2", "Wide ResNet-50-2", 50, {"group_width": 128}),
                ("wide_resnet101_2", "Wide ResNet-101-2", 101, {"group_width": 128}),
            )
        },
        **{f"resnet{d}d": Preset(f"ResNet-{d}-D", _imagenet(d, stem="deep", shortcut="D")) for d in IMAGENET},
        # timm's resnetv2_18, 34 and 50; where the first block projects (50) its shortcut reads the activation anyway
        **{
            f"preresnet{d}": Preset(f"Pre-activation ResNet-{d}", _imagenet(d, order="pre", **first))
            for d, first in ((18, {"first_split": "before"}), (34, {"first_split": "before"}), (50, {}))
        },
        **{f"plain{d}": Preset(f"Plain-{d}", _imagenet(d, shortcut="none")) for d in (18, 34)},
        **{
            f"resnet{d}_cifar": Preset(f"ResNet-{d} (CIFAR)", _cifar("basic", (d - 2) // 6, shortcut="A"))
            for d in (20, 32, 44, 56, 110, 1202)
        },
        **{
            f"plain{d}_cifar": Preset(f"Plain-{d} (CIFAR)", _cifar("basic", (d - 2) // 6, shortcut="none"))
            for d in (20, 32, 44, 56, 110)
        },
        **{
            f"preresnet{d}_cifar": Preset(
                f"Pre-activation ResNet-{d} (CIFAR)", _cifar("bottleneck", (d - 2) // 9, order="pre")
            )
            for d in (164, 1001)
        },
        # as 1603.05027 has it, which keeps the zero padding of 1512.03385
        "preresnet110_cifar": Preset(
            "Pre-activation ResNet-110 (CIFAR)", _cifar("basic", 18, order="pre", shortcut="A", first_split="after")
        ),
        "wrn28_10_cifar": Preset("Wide ResNet-28-10 (CIFAR)", _cifar("basic", 4, order="pre", width=160)),
        "resnext29_16x64d_cifar": Preset(
            "ResNeXt-29 16x64d (CIFAR)",
            _cifar("bottleneck", 3, cardinality=16, group_width=64, stem_width=64, width=64),
        ),
    },
    examples=(
        _tiny(),
        _tiny(order="pre", shortcut="A", squeeze_excitation=2, norm="none"),
        _tiny(block="bottleneck", cardinality=2, group_width=4, shortcut="C", squeeze_excitation=4, dropout=0.1),
        _tiny(zero_init=True, drop_path=0.2),
        _tiny(shortcut="D", squeeze_excitation=2, squeeze_in_eights=True, stem="tiered", input_size=28),
        _tiny(order="pre", first_split="before", shortcut="D", input_size=15),
        _tiny(shortcut="none", norm="group", activation="gelu", stem="imagenet", input_size=32),
    ),
    about=(
        r"A block learns what to **add** to its input: $y = x + F(x)$. The shortcut is the identity, so the signal "
        r"and its gradient $\partial L/\partial x = \partial L/\partial y\,(1 + \partial F/\partial x)$ "
        r"always have a way through, however deep the network is."
    ),
    otherwise=_without_shortcuts,
    papers={
        "He et al. 2016: Deep residual learning": "https://arxiv.org/abs/1512.03385",
        "Pre-activation": "https://arxiv.org/abs/1603.05027",
        "ResNeXt": "https://arxiv.org/abs/1611.05431",
        "Wide ResNet": "https://arxiv.org/abs/1605.07146",
        "ResNet-C and -D": "https://arxiv.org/abs/1812.01187",
    },
    siblings={
        "plain": Sibling("without shortcuts", {"shortcut": "none"}),
        "residual": Sibling("with shortcuts", {"shortcut": "A"}, where={"shortcut": "none"}),
        **COMMON_SIBLINGS,
        "zero-init": Sibling("last norms at zero", {"zero_init": True}),
        "pre-activation": Sibling("pre-activation", {"order": "pre"}),
        "post-activation": Sibling("post-activation", {"order": "post"}),
    },
    beside=("plain", "residual"),
    comparisons={
        "Plain against residual, 20 to 110 layers": Comparison(
            "resnet56_cifar",
            ("plain20_cifar", "plain56_cifar", "plain110_cifar", "resnet20_cifar", "resnet110_cifar"),
        ),
        # figure 3 of 1512.03385
        "VGG-19, plain and residual with 34 layers": Comparison("resnet34", ("vgg19", "plain34")),
        "VGG, plain and residual with some 20 layers, on small images": Comparison(
            "resnet20_cifar", ("vgg19_bn_cifar", "plain20_cifar")
        ),
    },
)
