"""Lines that fit on a page, broken as `ruff format` breaks them."""

WIDTH = 110  # columns of the file


def laid_out(line: str) -> str:
    """A line that is too long, with what its last brackets hold on lines of their own."""
    end = line.rfind(")")
    if len(line) <= WIDTH or end < 0:
        return line
    start = end - 1
    while line[start : end + 1].count("(") < line[start : end + 1].count(")"):
        start -= 1
    margin = " " * (len(line) - len(line.lstrip()) + 4)
    inside = margin + line[start + 1 : end]
    if len(inside) > WIDTH:
        pieces = (piece.strip().removesuffix(",") for piece in _pieces(line[start + 1 : end]))
        inside = "\n".join(laid_out(f"{margin}{piece},") for piece in pieces)
    return f"{line[: start + 1]}\n{inside}\n{margin[4:]}{line[end:]}"


def _pieces(arguments: str) -> list[str]:
    """Each argument with its comma; commas in brackets separate nothing."""
    pieces, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        pieces[-1] += letter
        if letter == "," and not depth:
            pieces.append("")
    return pieces
