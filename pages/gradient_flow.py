"""Does the learning signal reach the early layers?"""

import streamlit as st

from controls import gradient_runs, session
from controls.gradient_runs import Settings
from controls.panels.contenders import choose_contenders
from explorer.analyses import flow_reading, gradients, paths
from explorer.analyses.flow_reading import Gradient, Quantity, Reading
from explorer.analyses.gradients import Flow
from explorer.counting.comparisons import CLASSICS, Contender
from explorer.pictures.images import SAMPLES, sample
from explorer.plan.wiring import residual_blocks
from explorer.plots import gradients as plots

PLOT = {"displaylogo": False, "toImageButtonOptions": {"format": "png", "filename": "gradient-flow", "scale": 2}}
MEASURES: dict[str, tuple[Gradient, str]] = {
    "activations": ("activation", "norm of dLoss/dActivation"),
    "weights": ("weight", "norm of dLoss/dWeight"),
    "relative": ("relative", "norm of dLoss/dWeight over norm of weight"),
}
TRENDS = {"grows": "grows toward the input", "fades": "fades toward the input", "keeps": "keeps its size"}

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
    own = session.visitor().pictures
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
    missing = [one for one in networks if not gradient_runs.flow_of(one, used, settings)]
    if not missing:
        return
    total = sum(gradient_runs.work(one, settings) for one in missing)
    here = (config, session.against(), settings)
    ask = state.get("flow.stopped") == here or total > gradient_runs.MOST_UNASKED
    place = st.empty()
    if ask and not place.button(f"Measure ({total / 1e9:,.0f} G MACs)", icon=":material/play_arrow:", type="primary"):
        return
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, "Measuring ...")
        st.button("Stop", icon=":material/stop:", on_click=lambda: state.update({"flow.stopped": here}))
    done = 0.0
    for one in missing:
        share = gradient_runs.work(one, settings) / total
        gradient_runs.measure(
            one, used, settings,
            lambda runs, one=one, done=done, share=share: bar.progress(
                min(1.0, done + share * runs / settings.seeds), f"{one.title}, run {runs} of {settings.seeds}"
            ),
        )  # fmt: skip
        done += share
    place.empty()


def draw(found: dict[str, Flow], quantity: Quantity, y_title: str, key: str, log: bool = True) -> None:
    """A chart; a click on a point of this network selects the operation everywhere."""
    # a new key after each click: the selection belongs to the figure that was clicked
    key = f"{key}.{session.visitor().clicks}"

    def clicked() -> None:
        found = state[key]["selection"]["points"]
        if found and "customdata" in found[0] and found[0]["customdata"][0] in session.current_plan():
            session.visitor().clicks += 1
            session.select_operation(found[0]["customdata"][0])

    side_by_side = flow_reading.lines(found, quantity, points)
    x_title = f"{side_by_side.points}, from the input" + ("" if side_by_side.counted else " (0) to the classifier (1)")
    figure = plots.along_the_network(side_by_side.lines, x_title, y_title, log, session.operation())
    st.plotly_chart(figure, key=key, on_select=clicked, selection_mode="points", config=PLOT)


def verdict(title: str, found: Reading) -> str:
    """The picture in words."""
    if found.trend == "overflows":
        said = f"**overflows**: {found.broken} of {found.convolutions} convolutions have an infinite gradient or none "
        said += "that is a number"
    elif found.trend == "vanishes":
        said = f"**vanishes entirely**: the gradient of the first {found.zero} of {found.convolutions} convolutions is "
        said += "exactly zero"
    elif found.trend == "alone":
        said = f"**reaches the first convolution alone**: that of the other {found.convolutions - 1} is exactly zero"
    else:
        compared = "the last one's"
        if found.reference != (found.last,):
            compared += f" that is not exactly zero ({', '.join(found.reference)})"
        said = (
            f"**{TRENDS[found.trend]}**: the first convolution's is {found.ratio:.3g} times {compared}, "
            f"×{found.a_layer:.3f} a layer"
        )
    first, last = found.deviation
    said += f"; outputs spread by {first:.3g} at the first layer and {last:.3g} at the last convolution"
    if found.many_zeros:
        said += f"; {found.zeros:.0%} of the first layer's gradient are exact zeros"
    return f"- **{title}** {said}; loss {found.loss:.3g} (chance: {found.chance:.3g})."


def shortcut_share(settings: Settings) -> None:
    with st.spinner("Following the gradient ...", show_time=True):
        routes = gradient_runs.once("routes", used, settings, gradients.routes)
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
    shares = flow_reading.shortcut_shares(splits)
    st.markdown(
        f"The shortcut carries {shares.mean:.0%} on average: {shares.first:.0%} in the first block, "
        f"{shares.last:.0%} in the last."
    )


def who_feeds_whom(settings: Settings) -> None:
    with st.spinner("Following the gradient ...", show_time=True):
        routes = gradient_runs.once("routes", used, settings, gradients.routes)
        weights = gradient_runs.once("reuse", used, settings, lambda network, _: gradients.reuse(network))
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
            one = one.shares
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
    if not residual_blocks(plan):
        st.info("There is one path through this network: it has no residual blocks.")
        return
    place = st.empty()

    def analyse(network: object, batch: gradients.Batch) -> paths.Paths:
        with place.container():
            bar = st.progress(0.0, "Following paths ...")
            st.button("Stop", key="flow.paths.stop", icon=":material/stop:", on_click=_close)
        return paths.paths(network, batch, told=lambda done, of: bar.progress(done / of, f"Path {done} of {of}"))

    found = gradient_runs.once("paths", used, settings, analyse)
    place.empty()
    st.caption(
        "A network of n residual blocks is also a sum over 2ⁿ paths, each of which takes some branches and passes the "
        "others by. Sampled on the way back, as in Veit et al. (1605.06431): in the blocks drawn the gradient takes "
        "the branch alone, in all others the shortcut alone."
    )
    st.plotly_chart(plots.path_lengths(found), key="flow.paths", config=PLOT)
    st.markdown(
        f"{found.blocks} blocks make 2^{found.blocks} paths, most of them about {found.blocks / 2:.0f} branches long; "
        f"the gradient comes through paths of **{found.mean_length:.1f}** branches on average."
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
    networks = gradient_runs.present(against)
    run_missing(networks, settings)
    found = {one.title: flow for one in networks if (flow := gradient_runs.flow_of(one, used, settings))}
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
            draw(found, what, y_title, "flow.chart")
            if name := session.operation():
                st.page_link("pages/feature_maps.py", label=f"{name}: its feature maps", icon=":material/grid_view:")
            st.markdown("\n".join(verdict(title, flow_reading.read(flow, what)) for title, flow in found.items()))
        else:
            draw(found, "deviation", "standard deviation of outputs", "flow.deviation")
            draw(found, "mean", "mean of outputs", "flow.mean", log=False)
            draw(found, "dead", "share of dead ReLU channels", "flow.dead", log=False)
        box[2].download_button(
            "Numbers as CSV",
            lambda: flow_reading.table(found).to_csv(index=False),
            "gradient-flow.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
        )
