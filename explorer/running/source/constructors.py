"""What makes the members of a module: nn.Sequential(...) where that says all, or the lines of a constructor."""

from collections.abc import Mapping, Sequence

from explorer.plan import Op, Plan
from explorer.running.kinds import RUNNING
from explorer.running.source.forward import Made
from explorer.running.source.modules import Module, Step, is_plain_call, made_by, starts_at_zero
from explorer.running.source.series import numbered, with_repeats
from explorer.running.text import Number, Text, attribute, commas, in_a_loop, named_well


def construction_of(step: Step, made: Mapping[str, Made], plan: Plan) -> Text:
    """What makes the module of a step."""
    if isinstance(step, Op):
        return RUNNING[step.kind].construction(step, plan[step.inputs[0]])
    return made[step.name].construction


def sequential(module: Module, made: Mapping[str, Made], plan: Plan) -> Text:
    """nn.Sequential(...), where the steps are numbered and each reads the one before; () where that is not so.

    Places without a step, such as those of norms in a network that has none, are nn.Identity().
    """
    places = [module.local(step.name) for step in module.steps]
    if not module.name or not places or not all(map(str.isdecimal, places)) or len(places) < len(module.members):
        return ()
    steps = {int(place): step for place, step in zip(places, module.steps, strict=True)}
    if list(steps) != sorted(steps) or not _is_chain(module) or not all(_fits(step, made) for step in module.steps):
        return ()
    elements = [
        construction_of(steps[place], made, plan) if place in steps else ("nn.Identity()",)
        for place in range(max(steps) + 1)
    ]
    return ("nn.Sequential(", *commas(list(with_repeats(elements))), ")")


def _is_chain(module: Module) -> bool:
    """Whether each step reads what the one before made, and the last makes what the module returns."""
    made = [module.inputs, *map(made_by, module.steps)]
    reads = [*(list(step.inputs) for step in module.steps), module.outputs]
    return made == reads and len(module.inputs) == len(module.outputs) == 1


def _fits(step: Step, made: Mapping[str, Made]) -> bool:
    """Whether nn.Sequential can call the module of a step: from a tensor to a tensor, and no more to it."""
    if isinstance(step, Op):
        return is_plain_call(step) and not starts_at_zero(step)
    return not step.borrowed and made[step.name].returns_tensor()


def constructor(module: Module, members: Mapping[str, Text], is_loop: bool, series: Sequence[list[str]]) -> list[Text]:
    """Lines that make the members of a module, in the order in which its forward calls them.

    `members` are what makes each; `series` are names of members that are made in a loop, if they differ in their
    numbers only. A module whose forward `is_loop` is an nn.ModuleDict, made in one loop.
    """
    loops = {names[0]: loop for names in series if (loop := _loop(names, members, is_loop))}
    in_loops = {name for names in series if names[0] in loops for name in names}
    called = [module.local(step.name).partition(".")[0] for step in module.steps]
    lines: list[Text] = []
    for name in dict.fromkeys([*(name for name in called if name in members), *members]):
        if name in loops:
            lines += loops[name]
        elif name not in in_loops:
            head, tail = (f"self.{name} = ", "") if named_well(name) else (f'self.add_module("{name}", ', ")")
            lines.append((head, *members[name], tail))
        member = module.members[name]
        if isinstance(member, Op) and starts_at_zero(member):
            lines.append((f"nn.init.zeros_({attribute(name)}.weight)",))
    return lines


def _loop(names: Sequence[str], members: Mapping[str, Text], is_loop: bool) -> list[Text]:
    """for i in range(...): what makes the members of these names; [] where they differ in more than numbers."""
    series, text = numbered(names), in_a_loop([members[name] for name in names])
    if not series or not text:
        return []
    name = f'f"{series.pattern}"'
    head, tail = (f"    self[{name}] = ", "") if is_loop else (f"    self.add_module({name}, ", ")")
    return [("for i in range(", Number("layers", len(names)), "):"), (head, *text, tail)]
