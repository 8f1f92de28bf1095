"""Modules of equal words become one class, whose arguments are the numbers in which they differ."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from explorer.plan import Plan
from explorer.running.source.arguments import Arguments
from explorer.running.source.constructors import construction_of, constructor, sequential
from explorer.running.source.definitions import Template, definition
from explorer.running.source.forward import Made, forward_of
from explorer.running.source.layout import laid_out
from explorer.running.source.loops import loop_of
from explorer.running.source.modules import Module, modules_of, prefixes
from explorer.running.source.names import class_names
from explorer.running.text import ClassName, Text, in_a_loop


class Class(NamedTuple):
    modules: list[Module]
    lines: list[Text]  # of which the only holes are names of classes


class Classes:
    """The classes of a plan, found from the innermost modules outwards; the last is the network."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.modules = modules_of(plan)
        self.made: dict[str, Made] = {}
        self.found: list[Class] = []
        depths: dict[int, list[Module]] = defaultdict(list)
        for name, module in self.modules.items():
            depths[len(list(prefixes(name)))].append(module)
        for _, modules in sorted(depths.items(), reverse=True):
            alike: dict[object, list[Template]] = defaultdict(list)
            for module in modules:
                if text := sequential(module, self.made, plan):
                    self.made[module.name] = Made(text)
                else:
                    template = self._template(module)
                    alike[template.says()].append(template)
            for templates in alike.values():
                self._define(templates)

    def texts(self, taken: Collection[str]) -> list[str]:
        """The text of each class; `taken` are names that none of them may have."""
        names = class_names([one.modules for one in self.found], self.modules, self.plan, taken)
        texts = []
        for name, one in zip(names, self.found, strict=True):
            base = "nn.ModuleDict" if self.made[one.modules[0].name].loop else "nn.Module"
            lines = [
                "".join(names[p.place] if isinstance(p, ClassName) else str(p) for p in line) for line in one.lines
            ]
            indented = [f"    {line}".rstrip() for line in lines]
            texts.append("\n".join(map(laid_out, [f"class {name}({base}):", *indented])))
        return texts

    def _template(self, module: Module) -> Template:
        members = {name: construction_of(member, self.made, self.plan) for name, member in module.members.items()}
        calls = [self.made[step.name] for step in module.steps if isinstance(step, Module)]
        repeats = in_a_loop(list(members.values())) and all(call.returns_tensor() for call in calls)
        loop = loop_of(module) if repeats else None
        forward = forward_of(module, loop, self.made, self.plan) if module.outputs else None
        names = list(members)
        series = [names] if loop else []
        for path, length in (forward.kernels if forward else {}).items():
            start = names.index(module.local(path))
            series.append(names[start : start + length])
        return Template(module, loop, constructor(module, members, loop is not None, series), forward)

    def _define(self, templates: Sequence[Template]) -> None:
        """A class for those that return equal tensors, or the first few of them; then for the rest."""
        most = max(templates, key=lambda template: len(template.returns()))
        group = [template for template in templates if template.returns_first_of(most)]
        modules = [template.module for template in group]
        arguments = Arguments()
        expressions = arguments.fill(list(zip(*(template.numbers() for template in group), strict=True)))
        initialise = most.module.name == "" and self.plan.init == "kaiming"
        lines = definition(most, modules, arguments.signature(), expressions, initialise)
        for i, template in enumerate(group):
            construction = (ClassName(len(self.found)), "(", *arguments.given(i), ")")
            returned = most.forward.returned if most.forward else 0
            self.made[template.module.name] = Made(construction, template.loop, returned)
        self.found.append(Class(modules, lines))
        if rest := [template for template in templates if template not in group]:
            self._define(rest)
