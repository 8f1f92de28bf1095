"""Does the learning signal reach the early layers?"""

import numpy as np
import pandas as pd
import streamlit as st

from controls import flows, session
from controls.comparison import choose_contenders
from controls.flows import Settings
from explorer.analyses import gradients, paths
from explorer.analyses.gradients import Flow
from explorer.counting.comparisons import CLASSICS, Contender
from explorer.pictures.images import SAMPLES, sample
from explorer.plots import gradients as plots
from explorer.plots.gradients import Line

PLOT = {"displaylogo": False, "toImageButtonOptions": {"format": "png", "filename": "gradient-flow", "scale": 2}}
MEASURES = {
    "activations": ("activation", "norm of dLoss/dActivation"),
    "weights": ("weight", "norm of dLoss/dWeight"),
    "relative": ("relative", "norm of dLoss/dWeight over norm of weight"),
}

config, plan = session.config(), session.current_plan()
used = session.chosen_weights()
state = st.session_state


def choose_networks() -> tuple[str, ...]:
    box = st.columns([5, 2], vertical_alignment="bottom")
    with box[0]:
        here = choose_contenders()
    with box[1].popover("Classical comparisons", icon=":material/menu_book:", width="stretch"):
        for title, (origin, others) in CLASSICS.items():
            st.button(title, on_click=_classic, args=(origin, others), width="stretch")
    return here


def _classic(origin: str, others: tuple[str, ...]) -> None:
    session.choose(origin)
    session.compare(others)


def choose_settings() -> Settings:
    own = state.get("pictures", {})
    sources = ["noise", "sample photographs", *(["your pictures"] if own else [])]
    box = st.columns([3, 3, 2, 2, 2])
    source = box[0].selectbox(
        "Images", sources, key="flow.images",
        help="Noise is standard normal. Pictures fill the batch over and over; upload your own on Feature maps.",
    )  # fmt: skip
    label = box[1].number_input(
        "Label, -1: random", -1, config.classes - 1, -1, key=f"flow.label.{config.classes}",
        help="The class that the cross entropy asks for: one for all images, or a random one for each.",
    )  # fmt: skip
    count = box[2].number_input("Batch", 1, 256, 8, key="flow.batch", help="Images that go through together.")
    seeds = box[3].number_input(
        "Seeds", 1, 10, 3, key="flow.seeds", help="Runs with weights and labels of their own; the band is their range."
    )
    mode = box[4].segmented_control(
        "Mode", ["train", "eval"], default="train", required=True, key="flow.mode", width="stretch",
        help="In train mode batch norm uses the batch's own statistics; in eval mode the running ones, which fresh "
        "networks have never updated.",
    )  # fmt: skip
    pictures = tuple(own.values()) if source == "your pictures" else tuple(map(sample, SAMPLES))
    return Settings(() if source == "noise" else pictures, label, count, mode, seeds, points == "all")


def run_missing(networks: list[Contender], settings: Settings) -> None:
    """Measure what is not yet measured: at once where that is quick, else at a click; it can be stopped."""
    missing = [one for one in networks if not flows.flow_of(one, used, settings)]
    if not missing:
        return
    total = sum(flows.work(one, settings) for one in missing)
    here = (config, session.against(), settings)
    ask = state.get("flow.stopped") == here or total > flows.MOST_UNASKED
    place = st.empty()
    if ask and not place.button(f"Measure ({total / 1e9:,.0f} G MACs)", icon=":material/play_arrow:", type="primary"):
        return
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, "Measuring ...")
        st.button("Stop", icon=":material/stop:", on_click=lambda: state.update({"flow.stopped": here}))
    done = 0.0
    for one in missing:
        share = flows.work(one, settings) / total
        flows.measure(
            one, used, settings,
            lambda runs, one=one, done=done, share=share: bar.progress(
                min(1.0, done + share * runs / settings.seeds), f"{one.title}, run {runs} of {settings.seeds}"
            ),
        )  # fmt: skip
        done += share
    place.empty()


def columns_of(flow: Flow, names: tuple[str, ...]) -> list[int]:
    if points == "weighted layers":
        wanted = set(flow.weighted)
    elif points == "block ends":
        wanted = set({(op.stage, op.block): op.name for op in flow.plan.ops if op.block and op.name in names}.values())
    else:
        wanted = set(names)
    return [i for i, name in enumerate(names) if name in wanted]


def lines_of(found: dict[str, Flow], what: str) -> tuple[list[Line], str]:
    lines = []
    for title, flow in found.items():
        names = flow.weighted if what in ("weight", "relative") else flow.operations
        if what == "dead":
            chosen = [i for i in range(len(names)) if not np.isnan(flow.dead[:, i]).all()]
        else:
            chosen = columns_of(flow, names)
        values = getattr(flow, what)[:, chosen]
        lines.append(Line(title, tuple(names[i] for i in chosen), np.arange(1.0, len(chosen) + 1), values))
    where = "operations" if points == "all" or what == "dead" else points
    if len({len(line.x) for line in lines}) == 1:
        return lines, f"{where}, from the input"
    relative = [line._replace(x=(line.x - 1) / max(1, len(line.x) - 1)) for line in lines]
    return relative, f"{where}, from the input (0) to the classifier (1)"


def draw(lines: list[Line], x_title: str, y_title: str, key: str, log: bool = True) -> None:
    """A chart; a click on a point of this network selects the operation everywhere."""
    # a new key after each click: the selection belongs to the figure that was clicked
    key = f"{key}.{state.setdefault('clicks', 0)}"

    def clicked() -> None:
        found = state[key]["selection"]["points"]
        if found and "customdata" in found[0] and found[0]["customdata"][0] in session.current_plan():
            state.clicks += 1
            session.look_at(found[0]["customdata"][0])

    figure = plots.along_the_network(lines, x_title, y_title, log, session.operation())
    st.plotly_chart(figure, key=key, on_select=clicked, selection_mode="points", config=PLOT)


def verdict(title: str, flow: Flow, what: str) -> str:
    """The picture in words, from its numbers: first against last convolution."""
    names = flow.weighted if what != "activation" else flow.operations
    at = [i for i, name in enumerate(names) if name in flow.weighted and flow.plan[name].kind == "conv"]
    values = getattr(flow, what)[:, at]
    first, last, layers = values[:, 0], values[:, -1], len(at)
    broken = int((~np.isfinite(values)).any(0).sum())
    said = []
    if broken:
        said.append(
            f"**overflows**: {broken} of {layers} convolutions have an infinite gradient or none that is a number"
        )
    elif (first == 0).all():
        zero = int((values == 0).all(0).sum())
        said.append(f"**vanishes entirely**: the gradient of the first {zero} of {layers} convolutions is exactly zero")
    else:
        ratio = float(np.exp(np.mean(np.log(np.maximum(first, 5e-324) / last))))
        word = (
            "grows toward the input" if ratio > 3 else "fades toward the input" if ratio < 1 / 3 else "keeps its size"
        )
        a_layer = ratio ** (1 / max(1, layers - 1))
        said.append(f"**{word}**: the first convolution's is {ratio:.3g} times the last one's, ×{a_layer:.3f} a layer")
    spread = flow.deviation[:, [flow.operations.index(name) for name in flow.weighted]].mean(0)
    said.append(f"outputs spread by {spread[0]:.3g} at the first layer and {spread[-2]:.3g} at the last convolution")
    zeros = flow.zeros[:, flow.operations.index(flow.weighted[0])].mean()
    if zeros > 0.6:  # ReLUs alone make half of them
        said.append(f"{zeros:.0%} of the first layer's gradient are exact zeros")
    loss = flow.losses.mean()
    chance = np.log(flow.plan.ops[-1].shape[0])
    said.append(f"loss {loss:.3g} (chance: {chance:.3g})")
    return f"- **{title}** {'; '.join(said)}."


def table(found: dict[str, Flow]) -> str:
    """All numbers as CSV: a row a network, run and operation."""
    parts = []
    for title, flow in found.items():
        weight = {name: i for i, name in enumerate(flow.weighted)}
        for run, loss in enumerate(flow.losses):
            own = [weight.get(name) for name in flow.operations]
            parts.append(
                pd.DataFrame(
                    {
                        "network": title,
                        "run": run,
                        "loss": loss,
                        "operation": flow.operations,
                        "kind": [flow.plan[name].kind for name in flow.operations],
                        "gradient_norm": flow.activation[run],
                        "gradient_zeros": flow.zeros[run],
                        "weight_gradient_norm": [np.nan if i is None else flow.weight[run, i] for i in own],
                        "weight_gradient_relative": [np.nan if i is None else flow.relative[run, i] for i in own],
                        "output_mean": flow.mean[run],
                        "output_deviation": flow.deviation[run],
                        "dead_channels": flow.dead[run],
                    }
                )
            )
    text: str = pd.concat(parts).to_csv(index=False)
    return text


def shortcut_share(settings: Settings) -> None:
    with st.spinner("Following the gradient ...", show_time=True):
        routes = flows.once("routes", used, settings, gradients.routes)
    splits = gradients.splits(routes)
    if not splits:
        st.info("This network has no residual blocks, so nothing is shared out: its gradient has one way.")
        return
    st.caption(
        "The gradient at a block's input is what came through the shortcut plus what came through the branch. Bars are "
        "each one's part along the whole, so that they add up to 100 %; a part below zero works against the other."
    )
    titles = [split.join.rsplit(".", 1)[0] for split in splits]
    st.plotly_chart(plots.shortcut_shares(splits, titles), key="flow.shares", config=PLOT)
    shares = np.array([split.share for split in splits])
    st.markdown(
        f"The shortcut carries {np.nanmean(shares):.0%} on average: {shares[0]:.0%} in the first block, "
        f"{shares[-1]:.0%} in the last."
    )


def who_feeds_whom(settings: Settings) -> None:
    with st.spinner("Following the gradient ...", show_time=True):
        routes = flows.once("routes", used, settings, gradients.routes)
        weights = flows.once("reuse", used, settings, lambda network, _: gradients.reuse(network))
    found = {one.stage: one for one in gradients.feeds(routes)}
    if not found:
        st.info("In this network a block is read by the next one alone; a DenseNet or a CliqueNet has more to show.")
        return
    box = st.columns([3, 2])
    stage = box[0].segmented_control("Stage", list(found), default=next(iter(found)), required=True, key="flow.stage")
    scale = box[1].segmented_control(
        "Gradient as", ["share", "norm"], default="share", required=True, key="flow.scale",
        help="Share: of all that a source receives, so that each column adds up to 100 %. Norm: columns add up to the "
        "norm of the source's gradient.",
    )  # fmt: skip
    read = {one.stage: one for one in weights}
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Gradient**")
        st.caption("What each source receives through each reader, along its whole gradient. Columns add up.")
        one = found[stage]
        if scale == "share":
            one = one._replace(values=one.values / np.nansum(one.values, 0))
        st.plotly_chart(plots.matrix(one, scale, signed=True), key="flow.feeds", config=PLOT)
    with right:
        st.markdown("**Weights**")
        st.caption(
            "Mean absolute weight of a reader's first convolution on a source's channels, as in the DenseNet paper's "
            "figure 5" + (", untrained: all alike but for chance." if not used.trained else ".")
        )
        if stage in read:
            st.plotly_chart(plots.matrix(read[stage], "mean |w|", signed=False), key="flow.reuse", config=PLOT)


def ensemble(settings: Settings) -> None:
    if not paths.residual_blocks(plan):
        st.info("There is one path through this network: it has no residual blocks.")
        return
    place = st.empty()

    def analyse(network: object, batch: gradients.Batch) -> paths.Paths:
        with place.container():
            bar = st.progress(0.0, "Following paths ...")
            st.button("Stop", key="flow.paths.stop", icon=":material/stop:", on_click=_close)
        return paths.paths(network, batch, told=lambda done, of: bar.progress(done / of, f"Path {done} of {of}"))

    found = flows.once("paths", used, settings, analyse)
    place.empty()
    st.caption(
        "A network of n residual blocks is also a sum over 2ⁿ paths, each of which takes some branches and passes the "
        "others by. Sampled on the way back, as in Veit et al. (1605.06431): in the blocks drawn the gradient takes "
        "the branch alone, in all others the shortcut alone."
    )
    st.plotly_chart(plots.path_lengths(found), key="flow.paths", config=PLOT)
    carried, lengths = found.carried, np.array(found.lengths)
    mean = float((carried * lengths).sum())
    st.markdown(
        f"{found.blocks} blocks make 2^{found.blocks} paths, most of them about {found.blocks / 2:.0f} branches long; "
        f"the gradient comes through paths of **{mean:.1f}** branches on average."
    )


def _close() -> None:
    state["flow.look"] = "Gradient"


st.title("Gradient flow")
st.caption("Does the learning signal reach the early layers? Each network runs forward and back once for each seed.")
against = choose_networks()
look = st.segmented_control(
    "Look at",
    ["Gradient", "Activations", "Shortcut share", "Who feeds whom", "Paths"],
    default="Gradient",
    required=True,
    key="flow.look",
    width="stretch",
)
points = state.get("flow.points", "weighted layers")
settings = choose_settings()
if look == "Shortcut share":
    shortcut_share(settings)
elif look == "Who feeds whom":
    who_feeds_whom(settings)
elif look == "Paths":
    ensemble(settings)
else:
    networks = flows.present(against)
    run_missing(networks, settings)
    found = {one.title: flow for one in networks if (flow := flows.flow_of(one, used, settings))}
    if found:
        box = st.columns([3, 3, 2], vertical_alignment="bottom")
        if look == "Gradient":
            measure = box[0].segmented_control(
                "Gradient of", list(MEASURES), default="activations", required=True, key="flow.measure",
                help="Activations: what reaches an operation's output. Weights: what would change them. Relative: that "
                "over the weights' own size.",
            )  # fmt: skip
        box[1].segmented_control(
            "Points", ["weighted layers", "block ends", "all"], default="weighted layers", required=True,
            key="flow.points", help="Weighted layers are the convolutions and the classifier; all are all operations.",
        )  # fmt: skip
        if look == "Gradient":
            what, y_title = MEASURES[measure]
            draw(*lines_of(found, what), y_title, "flow.chart")
            if name := session.operation():
                st.page_link("pages/feature_maps.py", label=f"{name}: its feature maps", icon=":material/grid_view:")
            st.markdown("\n".join(verdict(title, flow, what) for title, flow in found.items()))
        else:
            draw(*lines_of(found, "deviation"), "standard deviation of outputs", "flow.deviation")
            draw(*lines_of(found, "mean"), "mean of outputs", "flow.mean", log=False)
            draw(*lines_of(found, "dead"), "share of dead ReLU channels", "flow.dead", log=False)
        box[2].download_button(
            "Numbers as CSV", lambda: table(found), "gradient-flow.csv", "text/csv", on_click="ignore",
            icon=":material/download:", width="stretch",
        )  # fmt: skip
