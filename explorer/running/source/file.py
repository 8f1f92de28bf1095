"""The whole file: imports, helpers, classes, and what it does when it is run."""

from collections.abc import Iterator, Sequence

from explorer.plan import Plan
from explorer.running.source.classes import Class, Classes
from explorer.running.source.layout import laid_out
from explorer.running.source.modules import modules_of
from explorer.running.source.names import class_names
from explorer.running.text import ClassName, Helper, Text

MAIN = """if __name__ == "__main__":
    network = Network().eval()
    print(f"{{sum(weight.numel() for weight in network.parameters()):,}} parameters")
    with torch.no_grad():
        print(network(torch.rand(1, {shape})).shape)
"""


def plan_source(plan: Plan, description: str, more: Sequence[str] = ()) -> str:
    """The network of any plan; `description` opens the file, and `more` stands behind the classes."""
    modules = modules_of(plan)
    classes = Classes(plan, modules).found
    parts = [part for one in classes for line in one.lines for part in line]
    helpers = list(dict.fromkeys(part for part in parts if isinstance(part, Helper)))
    names = class_names([one.modules for one in classes], modules, plan, [helper.name for helper in helpers])
    texts = [helper.source for helper in helpers]
    texts += ["\n".join(_lines(name, one, names)) for name, one in zip(names, classes, strict=True)]
    texts += more
    texts.append(MAIN.format(shape=", ".join(map(str, plan.ops[0].shape))))
    functions = any(isinstance(part, str) and part.startswith("F.") for part in parts)
    imports = ["import torch", "from torch import Tensor, nn"]
    if functions or any("F." in helper.source for helper in helpers):
        imports.append("from torch.nn import functional as F")
    return "\n\n\n".join([f'"""{description}\n"""\n\n' + "\n".join(imports), *texts])


def _lines(name: str, one: Class, names: Sequence[str]) -> Iterator[str]:
    """A class, with the names of all."""
    yield f"class {name}({one.base}):"
    for line in one.lines:
        yield laid_out(f"    {_named(line, names)}".rstrip())


def _named(line: Text, names: Sequence[str]) -> str:
    words = []
    for part in line:
        if isinstance(part, ClassName):
            words.append(names[part.place])
        else:
            words.append(part.name if isinstance(part, Helper) else str(part))
    return "".join(words)
