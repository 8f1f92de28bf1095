"""Do the layers of a DenseNet read all that came before? Huang et al., 1608.06993, section 5 and figure 5.

And do those of a clique, in their two passes? Yang et al., 1802.10419.
"""

import numpy as np
from numpy.typing import NDArray
from torch.fx import GraphModule

from explorer.analyses.evenness import evenness
from explorer.analyses.gradients import Batch, Matrix, feeds, reuse, routes
from explorer.experiments.digits import RECIPE, job, small
from explorer.experiments.experiment import Arm, Claim, Compared, Experiment, Figure, Measured, Picture
from explorer.experiments.results import Results
from explorer.experiments.trial import Trial
from explorer.experiments.verdict import (
    Verdict,
    above,
    difference,
    every,
    in_words,
    mean,
    percent,
    points,
    share,
    wrong,
)
from explorer.plan import Plan
from explorer.plots import claim_maps
from explorer.plots import claims as plots
from explorer.plots.colours import colorscale
from explorer.running.network import build, plan_of

PLACE = 7
LAYERS = 12  # of a dense block
THIRD = 4  # of the 13 sources that the classifier reads
IMAGES = 256  # whose gradient is followed
SPREAD = 0.5  # of what a layer can read
SHARE = 0.5  # of the layers

# Weights that nothing needs have to fade before what is left of them says anything. The paper's decay of 1e-4 has
# 230,000 steps for that. Here are 189, and it is larger in return: about 9 % of the first weights would be left.
FADING = RECIPE.replace(epochs=9, weight_decay=0.05)

DENSE = Arm("densenet", "DenseNet-40, k=6", job(small("densenet40_12_cifar", growth_rate=6), FADING))
CLIQUE = Arm("clique", "CliqueNet, 4 layers a block", job(small("cliquenet_k12_t12"), FADING))

Rows = list[list[float]]  # of a block: what each layer, and then the transition or the classifier, puts on each source
Table = NDArray[np.float64]


def measure(trial: Trial) -> Measured:
    found: Measured = {"test_accuracy": trial.test_accuracy}
    if trial.diverged:
        return found
    fresh = build(trial.plan, trial.job.recipe.seed)
    if trial.arm == DENSE.name:
        return found | {"trained": dense_blocks(trial.network), "fresh": dense_blocks(fresh)}
    batch = Batch(*trial.images(test=True, most=IMAGES))
    kinds = {"trained": reuse(trial.network), "fresh": reuse(fresh), "flow": feeds(routes(trial.network, batch))}
    passes = ("first", "second")
    return found | {f"{kind} {one}": pass_evenness(maps, one) for kind, maps in kinds.items() for one in passes}


def dense_blocks(network: GraphModule) -> list[Rows]:
    """Of each block, the rows of figure 5, each over its own mean: 1 is what an even row has everywhere."""
    blocks = [[relative(row[np.isfinite(row)]) for row in matrix.values] for matrix in reuse(network)]
    blocks[-1].append(relative(classifier(network)))
    return blocks


def relative(row: Table) -> list[float]:
    return [round(float(value), 3) for value in row / row.mean()]


def classifier(network: GraphModule) -> Table:
    """Mean absolute weight of the last layer on each source of the last block's concat, (sources,)."""
    plan: Plan = plan_of(network)
    weight = network.get_parameter(f"{plan.ops[-1].name}.weight").detach().abs().double().mean(0)
    last = next(op for op in reversed(plan.ops) if op.kind == "concat")
    parts = weight.split([plan[name].shape[0] for name in last.inputs])
    return np.array([float(part.mean()) for part in parts])


def pass_evenness(matrices: tuple[Matrix, ...], which: str) -> float:
    """Mean evenness with which the layers of a pass read their sources; a layer with one source says nothing."""
    rows = [
        np.abs(row[np.isfinite(row)])
        for matrix in matrices
        for label, row in zip(matrix.consumers, matrix.values, strict=True)
        if label.startswith(which)
    ]
    return float(np.mean([evenness(row) for row in rows if len(row) > 1]))


# --- what is judged


def each_seed(results: Results, state: str) -> list[list[Rows]]:
    return [blocks for blocks in results.each(DENSE.name, state) if blocks is not None]


def rows_evenness(blocks: list[Rows], last: bool) -> list[float]:
    """Of the layers that have a choice, or with `last` of the transitions: the classifier is none."""
    found = [rows[LAYERS:] if last else rows[1:LAYERS] for rows in (blocks[:-1] if last else blocks)]
    return [evenness(row) for rows in found for row in rows]


def transition_least(blocks: list[Rows]) -> float:
    """In how many of the layers of the second block and later the transition's output gets the least, as a share."""
    rows = [row for block in blocks[1:] for row in block[1:LAYERS]]
    return float(np.mean([row[0] == min(row) for row in rows]))


def towards_the_end(blocks: list[Rows]) -> float:
    """What the classifier puts on a source of the last third, less what it puts on one of the first; 1 is its mean."""
    row = blocks[-1][LAYERS]
    return float(np.mean(row[-THIRD:]) - np.mean(row[:THIRD]))


def spread(results: Results) -> Verdict:
    trained, fresh = each_seed(results, "trained"), each_seed(results, "fresh")
    layers = share([min(rows_evenness(blocks, last=False)) for blocks in trained])
    transitions = share([min(rows_evenness(blocks, last=True)) for blocks in trained])
    before = share([min(rows_evenness(blocks, last=False)) for blocks in fresh])
    return Verdict(
        every([above(layers, SPREAD), above(transitions, SPREAD)]),
        f"The least even layer has an evenness of {percent(layers)}, the less even transition {percent(transitions)}; "
        f"before learning the least even layer had {percent(before)}.",
    )


def redundant(results: Results) -> Verdict:
    trained = each_seed(results, "trained")
    least = share([transition_least(blocks) for blocks in trained])
    chance = float(np.mean([1 / sources for sources in range(2, LAYERS + 1)]))
    weight = mean([float(np.mean([row[0] for rows in blocks[1:] for row in rows[1:LAYERS]])) for blocks in trained])
    return Verdict(
        above(least, SHARE),
        f"In {percent(least)} of the layers of the second and third block the transition's output has the least weight "
        f"(by chance {chance:.0%}); it has {in_words(weight, digits=2)} of a layer's mean.",
    )


def concentrated(results: Results) -> Verdict:
    found = mean([towards_the_end(blocks) for blocks in each_seed(results, "trained")])
    return Verdict(
        above(found, 0),
        f"The classifier's weight on the last third of its sources is larger than on the first by "
        f"{in_words(found, digits=2)} of its mean weight.",
    )


def refined(results: Results) -> Verdict:
    found = {
        kind: difference(results.numbers(CLIQUE.name, f"{kind} second"), results.numbers(CLIQUE.name, f"{kind} first"))
        for kind in ("trained", "flow")
    }
    return Verdict(
        every([above(gain, 0) for gain in found.values()]),
        f"Evenness in the second pass less that in the first: {points(found['trained'])} by weights, "
        f"{points(found['flow'])} by gradient.",
    )


# --- what is drawn


def triangles(results: Results) -> Figure:
    """Trained above, fresh below: the mean over seeds. White is a row's mean, as an even row has it everywhere."""
    found = {}
    for state in ("trained", "fresh"):
        seeds = each_seed(results, state)
        if seeds:
            blocks = [np.mean([padded(blocks[b]) for blocks in seeds], 0) for b in range(len(seeds[0]))]
            found[state] = [claim_maps.Panel(f"block {b}", one) for b, one in enumerate(blocks, start=1)]
    return claim_maps.panels(found, "source", "read by", colorscale(signed=True), "weight / the row's mean", (0.5, 1.5))


def padded(rows: Rows) -> Table:
    return np.array([row + [np.nan] * (len(rows) - len(row)) for row in rows])


def passes(results: Results) -> Figure:
    titles = {"fresh": "weights, before learning", "trained": "weights", "flow": "gradient"}
    colours = {"first": plots.SKY, "second": plots.GREEN}
    return plots.bars(
        [
            plots.Bar(f"{title}, {one} pass", colour, np.array(results.numbers(CLIQUE.name, f"{kind} {one}")))
            for kind, title in titles.items()
            for one, colour in colours.items()
            if results.seeds_of(CLIQUE.name)
        ],
        plots.Axis("evenness", share=True),
    )


def error(arm: str, results: Results) -> str:
    return wrong(results.numbers(arm, "test_accuracy"))


EXPERIMENT = Experiment(
    name="reuse",
    question="Do layers of a DenseNet read all that came before?",
    claim="All layers of a dense block spread their weights over many of its earlier layers, and so do transitions; "
    "what a transition gives on is read with the least weight, so it is redundant; the classifier looks mostly at the "
    "last features.",
    source="Huang et al. 2017, section 5 and figure 5",
    url="https://arxiv.org/abs/1608.06993",
    differs="1,400 digits of 16 pixels in place of 50,000 pictures of CIFAR-10, half the growth rate, no "
    "augmentation, 189 steps in place of 230,000; in return weight decay is 0.05 in place of 0.0001, so that weights "
    "which nothing needs fade here too. The last claim is about cliques; no paper makes it, it asks figure 5's "
    "question of their two passes. Weights say how strongly something is read, not whether it is needed; and fresh "
    "networks are even from the start, so the first claim says only that learning leaves them so; the third block "
    "still shows much of its first weights.",
    arms=(DENSE, CLIQUE),
    measure=measure,
    claims=(
        Claim(
            "Layers and transitions read many sources",
            "A layer reads a source with the mean absolute weight of its convolution on that source's channels. Its "
            "evenness is e to the entropy of these weights' shares, over the number of sources: 1 where all are equal, "
            "1/n where it reads one of n. It holds where the least even layer, and the less even of the two "
            "transitions, still have an evenness of more than one half, each with the whole 95 % interval over seeds. "
            "It does not hold where one of the intervals lies below.",
            spread,
        ),
        Claim(
            "What a transition gives on is read least",
            "It holds where in more than half of the layers of the second and third block, the first of each left "
            "out, no source has less weight than the transition's output, with the whole 95 % interval over seeds. It "
            "does not hold where the interval lies below one half.",
            redundant,
        ),
        Claim(
            "The classifier looks mostly at the last features",
            "It holds where the classifier's mean absolute weight is larger on the last 4 of its 13 sources than on "
            "the first 4, with the whole 95 % interval of the difference over seeds. It does not hold where the "
            "interval lies below zero.",
            concentrated,
        ),
        Claim(
            "A clique's second pass reads more evenly than its first",
            "It holds where the mean evenness of layers in the second pass is larger than in the first, by their "
            "weights and by the gradient that they pass back to each source, each with the whole 95 % interval of the "
            "difference over seeds (Welch). It does not hold where one of the intervals lies below zero.",
            refined,
        ),
    ),
    pictures=(
        Picture(
            "Which layer (row) reads which source (column), and how strongly; in the last row transition or classifier",
            "Three triangles of trained dense blocks above three of fresh ones: each row a layer, each column what it "
            "reads, red for more weight than the row's mean and blue for less",
            triangles,
        ),
        Picture("The two passes of a clique", "Bars of the evenness of first and second pass", passes),
    ),
    compared=(
        Compared("Test error of DenseNet-40 (paper: k=12)", "7.00 %", lambda results: error(DENSE.name, results)),
    ),
)
