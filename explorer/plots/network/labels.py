"""What is written on a node and what hovering over it says."""

from explorer.counting.costs import Row
from explorer.drawing import Drawing, Node

LETTER = 6.4  # pixels that a letter is wide

INSIDE, UNDER, OVER, BESIDE = "middle center", "bottom center", "top center", "middle left"


def labels(drawing: Drawing, spacing: list[float]) -> list[tuple[str, str]]:
    """The text of each node, and where it stands; `spacing` is the room for a node in each row."""
    two_lanes = {node.row for node in drawing.nodes if node.lane < 0}
    # a block in two lanes has edges under it, so that its label must go elsewhere
    return [
        _label(node, spacing[node.row], free_below=not (node.row in two_lanes and node.level == "block"))
        for node in drawing.nodes
    ]


def _label(node: Node, spacing: float, free_below: bool) -> tuple[str, str]:
    """As much as there is room for, and where."""
    if node.level == "port":
        return node.label, BESIDE
    # of an opened block its title says how often it stands
    whole = node.label + (f" ×{node.times}" if node.times > 1 and node.level != "operation" else "")
    short = whole.split()[-1]
    leaves = f"<br>→ {node.leaves_to}" if node.leaves_to and spacing > 50 else ""
    if not free_below:
        return (short, INSIDE) if len(short) <= 3 else (whole + leaves, OVER)
    if LETTER * len(whole) > spacing and node.level == "stage":
        whole = whole.replace(" ", "<br>")
    elif LETTER * len(whole) > spacing:
        whole = short if node.level == "block" and LETTER * len(short) <= spacing else ""
    return whole + leaves, UNDER


def hover(node: Node, row: Row) -> str:
    """`row` are the costs of what the node stands for."""
    if node.level == "port":
        return f"{node.id}<br>{row.output}, from {node.label}"
    each = f"<br>one of {node.times} equal ones" if node.times > 1 else ""
    return (
        f"<b>{node.id}</b>{each}<br>{row.kind}<br>{row.input} → {row.output}<br>"
        f"{row.params:,} params ({row.params_share:.1%})<br>{row.macs:,} MACs ({row.macs_share:.1%})<br>"
        f"{row.activation_bytes / 1e6:.2f} MB of activations<br>sees {row.receptive_field:,} px"
    )
