"""What is written at a node, and what pointing at it says."""

from explorer.counting.costs import Row
from explorer.drawing import Drawing, Node
from explorer.wording import shape


def labels(node: Node) -> list[str]:
    """From the longest to the shortest: as much is written as there is room for."""
    if node.level == "port":
        return [node.label]
    whole = f"{node.label} → {node.leaves_to}" if node.leaves_to else node.label
    shorter = [node.label] if node.level != "block" else [node.label, node.label.split()[-1]]
    return list(dict.fromkeys([whole, *shorter]))


def shapes(drawing: Drawing) -> dict[int, tuple[str, int]]:
    """Where the trunk's shape changes: the first node of neighbours of one shape -> the shape, and the last of them."""
    found: dict[int, tuple[str, int]] = {}
    first, before = 0, (-1, "")
    for i, node in enumerate(drawing.nodes):
        if node.level == "port" or node.lane != 0:
            continue
        written = node.row, shape(node.ops[-1].shape)
        if written != before:
            first, before = i, written
        found[first] = written[1], i
    return found


def hover(node: Node, row: Row) -> list[str]:
    """Lines; `row` are the costs of what the node stands for."""
    if node.level == "port":
        return [node.id, f"{row.output}, from {node.label}"]
    return [
        node.id,
        *([f"one of {node.times} equal ones"] if node.times > 1 else []),
        row.kind,
        f"{row.input} → {row.output}",
        f"{row.params:,} params ({row.params_share:.1%})",
        f"{row.macs:,} MACs ({row.macs_share:.1%})",
        f"{row.activation_bytes / 1e6:.2f} MB of activations",
        f"sees {row.receptive_field:,} px" if row.receptive_field else "sees the whole picture",
    ]
