"""The drawing of a network as one plotly figure."""

import math
from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.counting.costs import Row, total
from explorer.drawing import Drawing, Node, Role
from explorer.plan import Plan
from explorer.plots.colours import SIGNED

Colouring = Literal["kind", "params", "MACs", "activations", "receptive field"]

# all in the drawing's units, about a pixel each
WIDTH = 1000.0  # of a row
MARGIN = 90.0  # to its left, for what the ports and lanes are called
LANE = 60.0  # between the trunk and what stands above or below it
PORT = 18.0  # between ports above one another
LABEL = 34.0  # for the text under a node
TITLE = 24.0  # for the title over an opened stage, and under an opened block
HIGHEST = 110.0  # of an arc

SPACING = {"stage": 130.0, "block": 84.0, "operation": 66.0}  # the most room that a node gets
SIZE = {"stage": 34.0, "block": 24.0, "operation": 13.0, "port": 9.0}

ROLES: dict[Role, tuple[str, str, str]] = {  # what the legend says, colour, dash
    "flow": ("next", "#8a8a8a", "solid"),
    "identity": ("identity shortcut", "#D55E00", "solid"),
    "projection": ("projection shortcut", "#D55E00", "dash"),
    "padding": ("zero-padding shortcut", "#D55E00", "dot"),
    "gate": ("gated", "#CC79A7", "dot"),
    "concat": ("into a concat", "#2b8cc4", "solid"),
    "second pass": ("into the second pass", "#009E73", "solid"),
}
KINDS = {
    "conv": "#0072B2",
    "linear": "#004a75",
    "norm": "#b8b8b8",
    "activation": "#F0E442",
    "max_pool": "#CC79A7",
    "avg_pool": "#CC79A7",
    "global_pool": "#CC79A7",
    "add": "#D55E00",
    "multiply": "#D55E00",
    "concat": "#56B4E9",
    "pad": "#E69F00",
}
OTHER, CLOSED, PORTS = "#777777", "#7a8aa0", "#bbbbbb"
CHANGED, SELECTED = "#E69F00", "#D55E00"

INSIDE = "middle center"

Numbers = NDArray[np.float32]


class _Places(NamedTuple):
    """Where each node is; of each row the room between its nodes and where it begins; and the whole height."""

    x: Numbers
    y: Numbers
    spacing: list[float]
    tops: list[float]
    trunks: list[float]
    arcs: Numbers  # height of each edge's arc; 0 for a straight line
    height: float


def figure(
    drawing: Drawing,
    plan: Plan,
    colouring: Colouring = "kind",
    selected: str | None = None,
    changed: Collection[str] = (),
) -> go.Figure:
    """Nodes carry their id as `customdata`; the title of an opened stage or block carries its id.

    `selected` is an operation to ring, `changed` are operations to mark as different.
    """
    places = _places(drawing)
    result = go.Figure()
    _draw_edges(result, drawing, places)
    _draw_frames(result, drawing, places)
    _draw_nodes(result, drawing, places, plan, colouring)
    # by place: a fold differs where any block that it stands for does
    different = sorted({drawing.places[name] for name in changed if name in drawing.places})
    _ring(result, drawing, places, different, CHANGED, "differs")
    _ring(
        result, drawing, places, [drawing.places[selected]] if selected in drawing.places else [], SELECTED, "selected"
    )
    result.update_xaxes(visible=False, range=[-MARGIN, WIDTH + 30])
    result.update_yaxes(visible=False, range=[-places.height, 0])
    result.update_layout(
        height=round(places.height) + 74, margin={"l": 0, "r": 0, "t": 24, "b": 0}, dragmode="pan", hovermode="closest",
        legend={"orientation": "h", "y": 0, "yanchor": "top", "itemclick": False, "itemdoubleclick": False},
        plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip
    return result


def _places(drawing: Drawing) -> _Places:
    """Rows below one another, each as high as its arcs, ports and lanes need."""
    nodes, edges = drawing.nodes, drawing.edges
    rows = range(nodes[-1].row + 1)
    row = np.array([node.row for node in nodes])
    lane = np.array([node.lane for node in nodes])
    port = np.array([node.level == "port" for node in nodes])
    spacing = []
    for r in rows:
        here = [node for node in nodes if node.row == r]
        levels = {node.level for node in here} - {"port"}
        levels = levels - {"operation"} or levels  # single operations among blocks take a block's room
        spacing.append(min(WIDTH / (max(node.x for node in here) + 1), min(SPACING[level] for level in levels)))
    x = np.array([(node.x + 0.5) * spacing[node.row] for node in nodes], np.float32)
    source, target = np.array([e.source for e in edges], int), np.array([e.target for e in edges], int)
    distance = x[target] - x[source]
    through = ("flow", "concat", "second pass")  # between neighbours a line; a shortcut goes round all the same
    straight = np.array([e.role in through and nodes[e.target].x - nodes[e.source].x <= 1.01 for e in edges], bool)
    straight |= (lane[source] != lane[target]) | (lane[target] > 0)
    arcs = np.zeros(len(edges), np.float32)
    above, below, titles = np.full(len(rows), 22.0), np.full(len(rows), LABEL), np.zeros(len(rows))
    feet = np.zeros(len(rows))
    for r in rows:
        mine = (row[target] == r) & ~straight
        if mine.any():
            # the row's longest arc is as high as may be, and none is steeper than a half circle
            share = (distance[mine] / distance[mine].max()) ** 0.7
            arcs[mine] = np.minimum(HIGHEST * share, 0.5 * distance[mine] + 6)
        high = arcs[mine & (lane[target] == 0)].max(initial=0) + 8
        low = arcs[mine & (lane[target] < 0)].max(initial=0)
        lanes = np.where(port, PORT, LANE)[row == r] * lane[row == r]
        above[r] = max(above[r], high, lanes.max() + 16)
        if lanes.min() < 0:
            below[r] = LANE + max(LABEL, low + 8)
    for frame in drawing.frames:
        (titles if frame.level == "stage" else feet)[frame.row] = TITLE
    heights = above + below + titles + feet + 10
    tops = np.concatenate([[0.0], -np.cumsum(heights)])
    trunks = tops[:-1] - titles - above
    y = trunks[row] + lane * np.where(port, PORT, LANE)
    return _Places(
        x,
        y.astype(np.float32),
        spacing,
        tops.tolist(),
        trunks.tolist(),
        arcs * np.where(lane[target] < 0, -1, 1),
        -float(tops[-1]),
    )


def _draw_edges(result: go.Figure, drawing: Drawing, places: _Places) -> None:
    for role, (title, colour, dash) in ROLES.items():
        which = [i for i, edge in enumerate(drawing.edges) if edge.role == role]
        if not which:
            continue
        source = np.array([drawing.edges[i].source for i in which])
        target = np.array([drawing.edges[i].target for i in which])
        end = places.x[target].copy()
        joins = np.array([drawing.nodes[t].level == "block" for t in target]) & (
            role in ("identity", "projection", "padding")
        )
        # a shortcut round a closed block ends behind it, where the block's add is
        room = np.array([places.spacing[drawing.nodes[t].row] for t in target])
        end[joins] += np.minimum(20, room / 2)[joins]
        t = np.linspace(0, 1, 2 if not places.arcs[which].any() else 25 if len(which) < 200 else 13, dtype=np.float32)
        middle, half = (places.x[source] + end) / 2, (end - places.x[source]) / 2
        xs = middle[:, None] - half[:, None] * np.cos(np.pi * t)
        ys = places.y[source][:, None] + (places.y[target] - places.y[source])[:, None] * (1 - np.cos(np.pi * t)) / 2
        ys += places.arcs[which][:, None] * np.sin(np.pi * t)
        result.add_scatter(
            x=np.pad(xs, ((0, 0), (0, 1)), constant_values=np.nan).ravel().astype(np.float32),
            y=np.pad(ys, ((0, 0), (0, 1)), constant_values=np.nan).ravel().astype(np.float32),
            mode="lines", hoverinfo="skip", name=f"{title} ({len(which)})" if len(which) > 1 else title,
            # the more there are, the thinner and fainter
            line={"color": colour, "dash": dash, "width": 2 if len(which) < 60 else 1 if len(which) < 300 else 0.7},
            opacity=max(0.55, 1 - len(which) / 900),
        )  # fmt: skip
        if joins.any():
            result.add_scatter(
                x=end[joins], y=places.y[target][joins], mode="markers", hoverinfo="skip", showlegend=False,
                marker={"symbol": "circle-cross-open", "size": 10, "color": colour, "line": {"width": 1.5}},
            )  # fmt: skip


def _draw_frames(result: go.Figure, drawing: Drawing, places: _Places) -> None:
    """Titles of what is opened, which close it, with a line under each opened block; and the names of lanes."""
    crowded = {node.row for node in drawing.nodes if node.lane < 0}
    titles: list[tuple[float, float, str]] = []
    lines: list[tuple[float, float]] = []
    for frame in drawing.frames:
        title = f"▾ {frame.label}"
        spacing = places.spacing[frame.row]
        if frame.level == "stage":
            begin, end, y = frame.first * spacing, (frame.last + 1) * spacing, places.tops[frame.row] - TITLE
            lines += [(begin + 6, y), (end - 6, y), (math.nan, math.nan)]
            titles.append((begin + 8, y + 11, title))
            continue
        under = 24 if frame.row in crowded else LABEL + 4
        begin, end = (frame.first + 0.1) * spacing, (frame.last + 0.9) * spacing
        y = places.trunks[frame.row] + LANE * frame.lane - under
        lines += [(begin, y), (end, y), (math.nan, math.nan)]
        # a title that does not fit is left out; its sign closes the block all the same
        fits = 6.4 * len(title) <= end - begin and frame.row not in crowded
        titles.append((begin, y - 9, title if fits else "▾"))
    quiet: dict[str, Any] = {"hoverinfo": "skip", "showlegend": False}
    if lines:
        result.add_scatter(
            x=_column(lines, 0), y=_column(lines, 1), mode="lines", line={"color": "#999999", "width": 1}, **quiet
        )
    if titles:
        result.add_scatter(
            x=_column(titles, 0), y=_column(titles, 1), text=[title for *_, title in titles], showlegend=False,
            customdata=[frame.id for frame in drawing.frames], mode="markers+text", textposition="middle right",
            marker={"symbol": "square", "size": 14, "color": "rgba(0,0,0,0)"}, hovertemplate="close<extra></extra>",
        )  # fmt: skip
    for row in sorted({node.row for node in drawing.nodes if node.lane < 0}):
        result.add_scatter(
            x=[-MARGIN + 8] * 2, y=[places.trunks[row] - 18, places.trunks[row] - LANE], mode="text",
            text=["first pass", "second pass"], textposition="middle right", textfont={"size": 11}, **quiet,
        )  # fmt: skip


def _column(rows: Sequence[tuple[Any, ...]], column: int) -> Numbers:
    return np.array([row[column] for row in rows], np.float32)


def _draw_nodes(result: go.Figure, drawing: Drawing, places: _Places, plan: Plan, colouring: Colouring) -> None:
    nodes = drawing.nodes
    rows = [total(plan, node.ops, node.label) for node in nodes]
    kinds = [node.ops[-1].kind if node.level == "operation" else node.level for node in nodes]
    marker: dict[str, object] = {"symbol": "square", "opacity": 1, "size": _sizes(drawing, places)}
    shade = np.zeros(len(nodes))
    if colouring == "kind":
        groups = {"stage": CLOSED, "block": CLOSED, "port": PORTS}
        marker["color"] = [groups.get(kind) or KINDS.get(kind, OTHER) for kind in kinds]
    else:
        shade, title = _values(drawing, plan, rows, colouring)
        marker |= {
            "color": shade, "colorscale": [[i / 4, colour] for i, colour in enumerate(SIGNED[4:])],
            "cmin": 0, "cmax": float(shade.max(initial=1e-9)), "line": {"width": 1, "color": "#999999"},
            "colorbar": {"title": {"text": title, "side": "right"}, "thickness": 12, "lenmode": "pixels",
                         "len": min(260, round(places.height) + 40), "y": 1, "yanchor": "top"},
        }  # fmt: skip
    labels = [
        _label(node, places.spacing[node.row], inside) for node, inside in zip(nodes, _crowded(drawing), strict=True)
    ]
    result.add_scatter(
        x=places.x, y=places.y, customdata=[node.id for node in nodes],
        text=["" if position == INSIDE else text for text, position in labels],
        textposition=[position for _, position in labels], textfont={"size": 11}, mode="markers+text", marker=marker,
        hovertext=[_hover(node, row) for node, row in zip(nodes, rows, strict=True)],
        hovertemplate="%{hovertext}<extra></extra>", showlegend=False,
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
    )  # fmt: skip
    within = [i for i, (_, position) in enumerate(labels) if position == INSIDE]
    if within:
        # the theme's colour is for text on the page; this text stands on the node
        dark = np.array([colouring == "kind"] * len(within)) | (2 * shade[within] > shade.max(initial=1e-9))
        result.add_scatter(
            x=places.x[within], y=places.y[within], text=[labels[i][0] for i in within], mode="text",
            textfont={"size": 11, "color": np.where(dark, "#ffffff", "#222222")}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
    if colouring == "kind":
        for kind in dict.fromkeys(kind for kind, node in zip(kinds, nodes, strict=True) if node.level == "operation"):
            result.add_scatter(
                x=[None], y=[None], mode="markers", name=kind.replace("_", " "), hoverinfo="skip",
                marker={"symbol": "square", "size": 10, "color": KINDS.get(kind, OTHER)},
            )  # fmt: skip


def _sizes(drawing: Drawing, places: _Places) -> list[float]:
    return [min(SIZE[node.level], 0.85 * places.spacing[node.row]) for node in drawing.nodes]


def _values(drawing: Drawing, plan: Plan, rows: list[Row], colouring: Colouring) -> tuple[NDArray[np.float64], str]:
    """What the colour says of each node; ports cost nothing, a fold costs all of what it stands for."""
    sees = [0.0] * len(rows)
    for name, place in drawing.places.items():
        sees[place] = max(sees[place], plan[name].receptive_field)
    per_row, title, adds_up = {
        "params": ([100 * row.params_share for row in rows], "% of parameters", True),
        "MACs": ([100 * row.macs_share for row in rows], "% of MACs", True),
        "activations": ([row.activation_bytes / 1e6 for row in rows], "MB of activations", True),
        "receptive field": (sees, "receptive field, px", False),
    }[colouring]
    times = np.array([0 if node.level == "port" else node.times if adds_up else 1 for node in drawing.nodes])
    return np.array(per_row) * times, title


def _crowded(drawing: Drawing) -> list[bool]:
    """Whether a node has edges under it, so that its label must go elsewhere."""
    rows = {node.row for node in drawing.nodes if node.lane < 0}
    return [node.row in rows and node.level == "block" for node in drawing.nodes]


def _label(node: Node, spacing: float, crowded: bool) -> tuple[str, str]:
    """As much as there is room for, and where."""
    if node.level == "port":
        return node.label, "middle left"
    # of an opened block its title says how often it stands
    whole = node.label + (f" ×{node.times}" if node.times > 1 and node.level != "operation" else "")
    short = whole.split()[-1]
    leaves = f"<br>→ {node.leaves_to}" if node.leaves_to and spacing > 50 else ""
    if crowded:
        return (short, INSIDE) if len(short) <= 3 else (whole + leaves, "top center")
    if 6.4 * len(whole) > spacing and node.level == "stage":
        whole = whole.replace(" ", "<br>")
    elif 6.4 * len(whole) > spacing:
        whole = short if node.level == "block" and 6.4 * len(short) <= spacing else ""
    return whole + leaves, "bottom center"


def _hover(node: Node, row: Row) -> str:
    if node.level == "port":
        return f"{node.id}<br>{row.output}, from {node.label}"
    each = f"<br>one of {node.times} equal ones" if node.times > 1 else ""
    return (
        f"<b>{node.id}</b>{each}<br>{row.kind}<br>{row.input} → {row.output}<br>"
        f"{row.params:,} params ({row.params_share:.1%})<br>{row.macs:,} MACs ({row.macs_share:.1%})<br>"
        f"{row.activation_bytes / 1e6:.2f} MB of activations<br>sees {row.receptive_field:,} px"
    )


def _ring(result: go.Figure, drawing: Drawing, places: _Places, which: list[int], colour: str, name: str) -> None:
    if not which:
        return
    sizes = _sizes(drawing, places)
    result.add_scatter(
        x=places.x[which], y=places.y[which], mode="markers", name=name, hoverinfo="skip",
        marker={"symbol": "square-open", "size": [sizes[i] + 7 for i in which], "color": colour, "line": {"width": 2}},
    )  # fmt: skip
