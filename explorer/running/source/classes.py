"""Modules of equal words become one class, whose arguments are the numbers in which they differ."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from explorer.plan import Plan
from explorer.running.source.arguments import Arguments
from explorer.running.source.constructors import construction_of, constructor, sequential
from explorer.running.source.definitions import Template, definition
from explorer.running.source.forward import Made, forward_of
from explorer.running.source.initialisation import kaiming
from explorer.running.source.loops import loop_of
from explorer.running.source.modules import Module, prefixes
from explorer.running.text import ClassName, Text, in_a_loop


class Class(NamedTuple):
    modules: list[Module]
    base: str  # class
    lines: list[Text]  # in it; the only holes are names of classes and of helpers


class Classes:
    """The classes of a plan, found from the innermost modules outwards; the last is the network."""

    def __init__(self, plan: Plan, modules: Mapping[str, Module]) -> None:
        self.plan = plan
        self.made: dict[str, Made] = {}
        self.found: list[Class] = []
        depths: dict[int, list[Module]] = defaultdict(list)
        for name, module in modules.items():
            depths[len(list(prefixes(name)))].append(module)
        for _, level in sorted(depths.items(), reverse=True):
            alike: dict[object, list[Template]] = defaultdict(list)
            for module in level:
                if text := sequential(module, self.made, plan):
                    self.made[module.name] = Made(text)
                else:
                    template = self._template(module)
                    alike[template.says()].append(template)
            for templates in alike.values():
                self._define(templates)

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
        initialise = [] if most.module.name else kaiming(self.plan)
        lines = definition(most, modules, arguments.signature(), expressions, initialise)
        for i, template in enumerate(group):
            construction = (ClassName(len(self.found)), "(", *arguments.given(i), ")")
            returned = most.forward.returned if most.forward else 0
            self.made[template.module.name] = Made(construction, template.loop, returned)
        base = "nn.ModuleDict" if most.loop else "nn.Module"
        self.found.append(Class(modules, base, lines))
        if rest := [template for template in templates if template not in group]:
            self._define(rest)
