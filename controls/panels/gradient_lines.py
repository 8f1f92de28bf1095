"""How do gradients and outputs change along networks, from the input to the classifier?"""

from collections.abc import Mapping

import streamlit as st

from controls import session
from controls.clicks import clickable
from controls.panel import panel
from explorer.analyses import flow_reading
from explorer.analyses.flow_reading import Gradient, Points, Quantity, Reading
from explorer.analyses.gradients import Flow
from explorer.plots import gradients as plots

SAVED = {"displaylogo": False, "toImageButtonOptions": {"format": "png", "filename": "gradient-flow", "scale": 2}}
NORMS: Mapping[Gradient, str] = {
    "activation": "norm of dLoss/dActivation",
    "weight": "norm of dLoss/dWeight",
    "relative": "norm of dLoss/dWeight over norm of weight",
}


@panel
def gradient_lines(flows: Mapping[str, Flow], gradient: Gradient, points: Points, selected: str | None) -> None:
    """A line and a sentence for each network. `selected` is an operation of the first one."""
    _chart(flows, gradient, points, selected, NORMS[gradient], "flow.chart")
    if selected:
        st.page_link("pages/feature_maps.py", label=f"{selected}: its feature maps", icon=":material/grid_view:")
    st.markdown(
        "\n".join(f"- **{title}**: {sentence(flow_reading.read(flow, gradient))}" for title, flow in flows.items())
    )


@panel
def output_lines(flows: Mapping[str, Flow], points: Points, selected: str | None) -> None:
    """What goes forward: how outputs spread, their means, and the ReLUs that are dead."""
    _chart(flows, "deviation", points, selected, "standard deviation of outputs", "flow.deviation")
    _chart(flows, "mean", points, selected, "mean of outputs", "flow.mean", logarithmic=False)
    _chart(flows, "dead", points, selected, "share of dead ReLU channels", "flow.dead", logarithmic=False)


@panel
def numbers_as_csv(flows: Mapping[str, Flow]) -> None:
    st.download_button(
        "Numbers as CSV",
        lambda: flow_reading.table(flows).to_csv(index=False),
        "gradient-flow.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
    )


def sentence(found: Reading) -> str:
    """What a reading says, in words."""
    first, last = found.deviation
    spread = f"outputs spread by {first:.3g} at the first layer and {last:.3g} at the last convolution"
    parts = [_compared(found), spread]
    if found.many_zeros:
        parts.append(f"{found.zeros:.0%} of the first layer's gradient are exact zeros")
    return "; ".join([*parts, f"loss {found.loss:.3g} (chance: {found.chance:.3g})"]) + "."


def _compared(found: Reading) -> str:
    match found.arrival:
        case "overflows":
            return f"{found.broken} of {found.convolutions} convolutions have a gradient that is infinite or no number"
        case "vanishes":
            return f"the gradient of the first {found.zero} of {found.convolutions} convolutions is exactly zero"
        case "alone":
            return "all convolutions but the first have a gradient of exactly zero"
    other = "the last one's"
    if found.reference != (found.last,):
        other += f" that is not exactly zero ({', '.join(found.reference)})"
    return f"the first convolution's is {found.ratio:.3g} times {other}, ×{found.a_layer:.3f} a layer"


def _chart(
    flows: Mapping[str, Flow],
    quantity: Quantity,
    points: Points,
    selected: str | None,
    title: str,
    name: str,
    logarithmic: bool = True,
) -> None:
    """A click on a point selects its operation everywhere, where the visitor's network has one of that name."""
    found = flow_reading.lines(flows, quantity, points)
    along = f"{found.points}, from the input" + ("" if found.counted else " (0) to the classifier (1)")
    plan = session.current_plan()

    def clicked(point: tuple[str, int]) -> None:
        if point[0] in plan:
            session.select_operation(point[0])

    clickable(
        plots.along_the_network(found.lines, along, title, logarithmic, selected, quantity == "dead"),
        name,
        f"Lines, one for each network: {title}, along the network",
        clicked,
        SAVED,
    )
