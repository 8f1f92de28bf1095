"""Who imports whom in the library, its pages and controls, read from the sources."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("explorer", "pages", "controls")
TENSORS = {"torch", "torchvision", "captum"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, module: str, package: bool = False) -> set[str]:
    """Dotted names that a module imports, at its top or inside a function; of `from a import b` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")
            parents = parents[: len(parents) - node.level + package] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    # of a.b.c, also a and a.b: Python runs them first
    return {".".join(name.split(".")[:n]) for name in found for n in range(1, name.count(".") + 2)}


def sources() -> dict[str, Path]:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    return {module_of(file): file for file in [*files, *sorted(ROOT.glob("*.py"))]}


MODULES = sources()
GRAPH = {
    module: imports_of(file.read_text(encoding="utf-8"), module, file.name == "__init__.py")
    for module, file in MODULES.items()
}


def within(package: str) -> list[str]:
    return [module for module in MODULES if module == package or module.startswith(f"{package}.")]


def reached(module: str) -> set[str]:
    """All that a module imports, and what those of ours import in turn."""
    seen: set[str] = set()
    ahead = [module]
    while ahead:
        for name in GRAPH[ahead.pop()] - seen:
            seen.add(name)
            if name in GRAPH:
                ahead.append(name)
    return seen
