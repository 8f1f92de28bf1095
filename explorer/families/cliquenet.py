"""CliqueNet (Yang et al., CVPR 2018, 1802.10419): every two layers of a block feed each other.

The paper's "Stage I" and "Stage II" are called first pass and second pass here, since a stage is something else.
In a block with input X0 and L layers, W_ij is the kernel from layer i to layer j. Both passes read the same
W_ij: the kernel of layer j over [X0, X1 .. XL without Xj] is one parameter, of which each pass reads a slice.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from explorer.families.config import Config, Stem, read_stem, write_stem
from explorer.families.family import Comparison, Family, Preset
from explorer.families.tensors import Tensors, kept_share
from explorer.plan import Kernel, Op, Recorder

ATTENTION_RATIO = 2  # of the squeeze-and-excitation in an attentional transition (section 3.3)


class CliqueNetConfig(Config, Stem):
    family: Literal["cliquenet"] = "cliquenet"
    widths: tuple[Annotated[int, Field(ge=1, le=256)], ...] = Field(
        (64, 64, 64),
        min_length=3,
        max_length=5,
        title="Channels k",
        description="channels of each layer, block by block",
        json_schema_extra={"usual": 160, "grows": True},
    )
    layers: tuple[Annotated[int, Field(ge=2, le=24)], ...] = Field(
        (5, 5, 5),
        min_length=3,
        max_length=5,
        title="Layers",
        description="layers of each clique; every two of them are connected both ways",
        json_schema_extra={"usual": 12, "grows": True},
    )
    attention: bool = Field(
        False,
        title="Attentional transition (A)",
        description="squeeze-and-excitation weighs the channels that go on to the next block",
    )
    bottleneck: bool = Field(
        False,
        title="Bottleneck (B)",
        description="the shared kernels are 1x1, followed by a 3x3 of k to k channels that the passes share too",
    )
    compression: float = Field(
        1.0,
        ge=0.1,
        le=1,
        title="Compression (C)",
        description="share of a block's channels that a 1x1 passes on to the classifier; 1: all, without the 1x1",
        json_schema_extra={"step": 0.05, "grows": True, "off": 1},
    )
    block_feature: Literal["first", "second"] = Field(
        "second", title="Block feature", description="which pass the classifier sees, beside the block's input"
    )
    transit: Literal["first", "second"] = Field(
        "second", title="Transit", description="which pass goes on to the next block"
    )
    second_pass_steps: int = Field(
        -1,
        ge=-1,
        le=24,
        title="Steps of the second pass",
        description="how many layers of each block the second pass recomputes, at most; -1: all of them",
    )

    ALIGNED: ClassVar[tuple[str, ...]] = ("widths", "layers")
    MAIN: ClassVar[tuple[str, ...]] = ("widths", "layers", "attention", "bottleneck", "compression")

    def unused(self) -> dict[str, str]:
        if self.block_feature == self.transit == "first":
            return {"second_pass_steps": "nothing reads the second pass, so it is not run"}
        return {}

    @model_validator(mode="after")
    def _possible(self) -> "CliqueNetConfig":
        self.refuse_unused()
        self.refuse_unaligned("blocks")
        self.refuse_too_small(self.stem_halvings + len(self.layers) - 1, f"the stem and {len(self.layers)} blocks")
        self.refuse_single_values(write)
        return self

    def steps(self, layers: int) -> int:
        """How many of a block's layers the second pass recomputes, where it is run."""
        return layers if self.second_pass_steps < 0 else min(layers, self.second_pass_steps)


def write(net: Recorder, cfg: CliqueNetConfig) -> None:
    with net.stage("stem"):
        x = write_stem(net, cfg, ("conv0", "norm0", "relu0", "pool0"), activate=cfg.stem != "cifar")
    features = []
    for b, (k, layers) in enumerate(zip(cfg.widths, cfg.layers, strict=True), start=1):
        with net.stage(f"block {b}", f"block{b}."):
            # what nothing reads is not computed: the last block has no transition
            read = cfg.block_feature == "second" or (cfg.transit == "second" and b < len(cfg.layers))
            first, second = clique(net, x, k, layers, cfg.steps(layers) if read else 0, cfg)
            features.append(block_feature(net, x, first if cfg.block_feature == "first" else second, cfg))
            if b < len(cfg.layers):
                x = net.concat("concat", first if cfg.transit == "first" else second)
        if b < len(cfg.layers):
            with net.stage(f"transition {b}", f"transition{b}."):
                x = transition(net, x, cfg)
    with net.stage("head"):
        net.linear("classifier", net.concat("concat", features), cfg.classes)


def clique(net: Recorder, x0: Op, k: int, layers: int, steps: int, cfg: CliqueNetConfig) -> tuple[list[Op], list[Op]]:
    """Both passes over a block: ((C, H, W), L layers of k channels) -> the X_j after each, (k, H, W) each.

    The second pass recomputes the first `steps` layers.
    """
    c0, size = x0.shape[0], 1 if cfg.bottleneck else 3
    first: list[Op] = []
    kernels = []
    for j in range(layers):
        # a layer that is recomputed reads all the others; one that is not, only those before it
        channels = c0 + k * ((layers - 1) if j < steps else j)
        kernels.append(net.kernel(f"layer{j + 1}.conv1", channels, k, size))
        with net.block(f"first {j + 1}", f"first.layer{j + 1}."):
            first.append(clique_layer(net, [x0, *first], kernels[j], 0, f"layer{j + 1}", cfg))
    newest = list(first)
    for j in range(steps):
        with net.block(f"second {j + 1}", f"second.layer{j + 1}."):
            others = newest[:j] + newest[j + 1 :]
            newest[j] = clique_layer(net, others, kernels[j], c0, f"layer{j + 1}", cfg)
            net.refine(first[j], newest[j])
    return first, newest


def clique_layer(net: Recorder, xs: list[Op], kernel: Kernel, start: int, layer: str, cfg: CliqueNetConfig) -> Op:
    """Norm-ReLU-W_ij on the concat of `xs`; with bottleneck a 3x3 after it, its norm each pass's own."""
    x = net.activation("relu1", net.norm("norm1", net.concat("concat", xs)))
    x = net.dropout("dropout1", net.shared_conv("conv1", x, kernel, start), cfg.dropout)
    if not cfg.bottleneck:
        return x
    x = net.activation("relu2", net.norm("norm2", x))
    whole = Kernel(kernel.name.removesuffix("conv1") + "conv2", kernel.out, kernel.out, 3)
    return net.dropout("dropout2", net.shared_conv("conv2", x, whole), cfg.dropout)


def block_feature(net: Recorder, x0: Op, passed: list[Op], cfg: CliqueNetConfig) -> Op:
    """What the classifier sees of a block: X0 and one of the passes, as a vector of means."""
    with net.block("feature", "feature."):
        x = net.concat("concat", [x0, *passed])
        if cfg.compression < 1:
            x = net.activation("compress_relu", net.norm("compress_norm", x))
            x = net.conv("compress", x, max(1, int(x.shape[0] * cfg.compression)), kernel=1)
        return net.global_pool("pool", net.activation("relu", net.norm("norm", x)))


def transition(net: Recorder, x: Op, cfg: CliqueNetConfig) -> Op:
    """Norm-ReLU-1x1 that keeps the channels, attention if asked, then half the size."""
    x = net.conv("conv", net.activation("relu", net.norm("norm", x)), x.shape[0], kernel=1)
    if cfg.attention:
        channels = x.shape[0]
        gate = net.conv("fc1", net.global_pool("squeeze", x), max(1, channels // ATTENTION_RATIO), kernel=1, bias=True)
        gate = net.conv("fc2", net.activation("fc_relu", gate), channels, kernel=1, bias=True)
        x = net.multiply("scale", x, net.activation("gate", gate, "sigmoid"))
    return net.avg_pool("pool", x, kernel=2, stride=2)


def recognise(tensors: Tensors) -> dict[str, Any] | None:
    """What the second pass is read by is as usual where no tensor tells it."""
    if "block1.layer1.conv1.weight" not in tensors:
        return None
    fields = read_stem(tensors, "conv0")
    layers = tensors.counts("block", "layer")
    widths = tuple(tensors.out(f"block{b}.layer1.conv1.weight") for b in range(1, len(layers) + 1))
    entering = (fields["stem_width"], *(k * count for k, count in zip(widths, layers, strict=True)))
    steps = [_steps(tensors, b, entering[b - 1], widths[b - 1], count) for b, count in enumerate(layers, start=1)]
    compress = "feature.compress.weight"
    shares = (
        [tensors.sizes(f"block{b}.{compress}") for b in range(1, len(layers) + 1)]
        if (f"block1.{compress}" in tensors)
        else []
    )
    fields |= {
        "widths": widths,
        "layers": layers,
        "norm": tensors.norm,
        "attention": "transition1.fc1.weight" in tensors,
        "bottleneck": "block1.layer1.conv2.weight" in tensors,
        "compression": kept_share((before, after) for after, before, _, _ in shares) if shares else 1.0,
        "classes": tensors.answers("classifier.weight"),
    }
    if not any(steps):
        return fields | {"block_feature": "first", "transit": "first"}
    # the last block has no transition: without a second pass there, block features are of the first
    block_feature = "second" if steps[-1] else "first"
    run = steps if steps[-1] else steps[:-1]
    every = all(done == count for done, count in zip(run, layers, strict=False))
    return fields | {"block_feature": block_feature, "second_pass_steps": -1 if every else max(run)}


def _steps(tensors: Tensors, block: int, c0: int, k: int, layers: int) -> int:
    """How many layers of a block are recomputed: their kernels read all the others. The last layer's does anyway; its
    own norm, or else all before it, say whether it is one.
    """
    whole = c0 + k * (layers - 1)
    done = sum(tensors.sizes(f"block{block}.layer{j}.conv1.weight")[1] == whole for j in range(1, layers))
    if done < layers - 1:
        return done
    named = tensors.norm == "none" or f"block{block}.second.layer{layers}.norm1.weight" in tensors
    return layers if named else done


def depth(cfg: CliqueNetConfig) -> int:
    """The T of the paper: convolutions of the blocks' layers, each counted once though it runs twice."""
    return (2 if cfg.bottleneck else 1) * sum(cfg.layers)


def depths(cfg: CliqueNetConfig) -> Mapping[str, dict[str, Any]]:
    if cfg.stem == "cifar":
        convs = 2 if cfg.bottleneck else 1
        blocks = len(cfg.widths)
        return {
            str(t): {"layers": (t // (3 * convs),) * 3}
            for t in (12, 15, 18, 36)
            if t % (3 * convs) == 0 and blocks == 3
        }
    if len(cfg.widths) != 4:
        return {}
    return {
        f"{(2 if cfg.bottleneck else 1) * sum(layers)} ({names})": {"layers": layers}
        for names, layers in (("S0, S1", (5, 6, 6, 6)), ("S2", (5, 5, 6, 6)), ("S3", (6, 6, 6, 6)))
    }


def _cifar(k: int, t: int) -> CliqueNetConfig:
    small = {"stem": "cifar", "input_size": 32, "classes": 10}
    return CliqueNetConfig.parse(small | {"widths": (k,) * 3, "layers": (t // 3,) * 3})


def _imagenet(widths: tuple[int, ...], layers: tuple[int, ...], attention: bool = False) -> CliqueNetConfig:
    form = {"bottleneck": True, "compression": 0.5, "attention": attention}
    return CliqueNetConfig.parse(form | {"widths": widths, "layers": layers})


def _tiny(**fields: Any) -> CliqueNetConfig:
    small = {"stem": "cifar", "stem_width": 8, "input_size": 16, "classes": 5}
    return CliqueNetConfig.parse(small | {"widths": (4, 8, 4), "layers": (2, 3, 2)} | fields)


S3 = (40, 80, 160, 160), (6, 6, 6, 6)

FAMILY = Family(
    name="cliquenet",
    title="CliqueNet",
    year=2018,
    colour="#009E73",
    joins="both ways",
    config=CliqueNetConfig,
    write=write,
    depth=depth,
    depths=depths,
    recognise=recognise,
    width=lambda cfg: min(cfg.widths),
    width_is="channels k of each layer, in the block that has the fewest",
    presets={
        "cliquenet_s0": Preset("CliqueNet-S0", _imagenet((36, 64, 100, 80), (5, 6, 6, 6))),
        "cliquenet_s1": Preset("CliqueNet-S1", _imagenet((36, 80, 120, 100), (5, 6, 6, 6))),
        "cliquenet_s2": Preset("CliqueNet-S2", _imagenet((36, 80, 150, 120), (5, 5, 6, 6))),
        "cliquenet_s3": Preset("CliqueNet-S3", _imagenet(*S3)),
        "cliquenet_s3_attention": Preset("CliqueNet-S3 with attention", _imagenet(*S3, attention=True)),
        **{
            f"cliquenet_k{k}_t{t}": Preset(f"CliqueNet k={k}, T={t} (CIFAR)", _cifar(k, t))
            for k, t in ((36, 12), (64, 15), (80, 15), (80, 18), (12, 36), (24, 18))
        },
        "cliquenet_k12_t12": Preset("CliqueNet k=12, T=12 (small)", _cifar(12, 12)),  # in no paper: learned in minutes
    },
    examples=(
        _tiny(),
        _tiny(attention=True, norm="none"),
        _tiny(attention=True, bottleneck=True, compression=0.5, norm="group", second_pass_steps=2),
        _tiny(block_feature="first", transit="first", dropout=0.2, stem="imagenet", input_size=32),
    ),
    about=(
        r"First each layer reads those before it, as in a DenseNet; then each is **computed anew** from the newest "
        r"state of all the others: $X_j \leftarrow \sum_{i \ne j} W_{ij} * g(X_i)$. Both passes share the kernels "
        r"$W_{ij}$: parameters count once, MACs twice. The classifier sees every block, at its own scale."
    ),
    papers={
        "Yang et al. 2018: Convolutional neural networks with alternately updated clique": "https://arxiv.org/abs/1802.10419"
    },
    beside=("plain20_cifar", "plain34"),  # nothing joins their layers
    comparisons={
        "Four ways to join layers": Comparison(
            "resnet56_cifar", ("plain56_cifar", "densenet40_12_cifar", "cliquenet_k36_t12")
        ),
    },
)
