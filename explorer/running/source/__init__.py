"""A network as Python: one file that needs torch alone, with the names, and the logits, of the network that runs.

Everything is read from the plan, so a new family needs nothing here. By the example of a plan with the operations
block1.conv (3 to 8 channels), block1.norm, block1.relu, block2.conv (8 to 16 channels), block2.norm, block2.relu:

1. The dots in the names give the modules: the network holds block1 and block2, each holds conv and norm (`modules`).
2. Each module, the innermost first, is written as text with holes where the numbers go (`text`). What makes its
   members, `self.conv = nn.Conv2d(<3>, <8>, <3>, ...)`, are the lines of a constructor, or nn.Sequential(...)
   (`constructors`). Its operations are the lines of a forward (`forward`): they are put together to
   `return F.relu(self.norm(self.conv(x)))` (`statements`), with names for tensors (`variables`), or they are a loop
   over a numbered series (`loops`, `series`).
3. Modules with the same words are one class; here, block1 and block2. The numbers in which they differ become
   arguments, `channels` = (3, 8) and `width` = (8, 16); the 3 of the kernel stays, and a number that follows from
   arguments is arithmetic with them (`arguments`). The class is written (`definitions`), and what makes each module
   is now known, `Block(3, 8)` and `Block(8, 16)`, so that the module around them can be written (`classes`).
4. When all classes are known they get their names (`names`), and what they need stands before them (`file`).
"""

from explorer import families
from explorer.families import Config
from explorer.plan.lesions import NONE, Lesions, lesioned
from explorer.running.card import UNKNOWN, Card
from explorer.running.source.file import plan_source
from explorer.running.source.header import header
from explorer.running.source.knowledge import knowledge
from explorer.running.source.layout import WIDTH

__all__ = ["WIDTH", "plan_source", "python_source"]


def python_source(config: Config, card: Card = UNKNOWN, lesions: Lesions = NONE) -> str:
    """The network of a configuration as a Python file: it defines `Network`, and runs by itself.

    What a card knows of the weights that go with it stands there too. Raises LesionError for lesions that it cannot
    have.
    """
    plan = lesioned(families.plan(config), *lesions)
    return plan_source(plan, header(config, plan, lesions), tuple(knowledge(card)))
