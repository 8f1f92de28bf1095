"""How much memory does a forward pass or a training step take at its peak?

Followed through the plan, tensor by tensor, as PyTorch makes and frees them; nothing is built. Numbers are
float32. What `forward_bytes` and `training_bytes` count are tensors: the images, weights, activations, gradients.
What a process takes beside them while it runs convolutions is `scratch_bytes`, an upper estimate from measurements.
"""

from explorer.plan import Op, Plan
from explorer.plan.kinds import KINDS

BYTES = 4  # of a float32
# oneDNN computes on copies of its own, in blocks of channels: of a convolution's input and output, and on the way back
# also of their gradients. In units of the largest input and output together, processes took 0.2 to 0.5 forward
# (ResNet-50, DenseNet-121) and 1.8 to 3.6 forward and backward (these and ResNet-56), with torch 2.15 on a CPU with
# AVX-512; other devices were not measured
COPIES_FORWARD, COPIES_BACKWARD = 1, 4
# what stays after the first passes: threads, and the kernels that are compiled for each convolution. Chosen so that the
# growth of processes in tests/test_process_memory.py is covered; 17 to 50 MB stayed
LIBRARIES, KERNELS = 32_000_000, 200_000


def forward_bytes(plan: Plan, batch: int = 1) -> int:
    """Of a forward pass without gradients: each tensor lives until its last use, the images as long as their caller."""
    sizes = {op.name: op.size for op in plan.ops}
    freed = [0] * len(plan.ops)
    for name, i in _last_use(plan).items():
        freed[i] += sizes[name]
    live = peak = 0
    for size, after in zip(sizes.values(), freed, strict=True):
        live += size
        peak = max(peak, live)
        live -= after
    return BYTES * (peak * batch + plan.params)


def training_bytes(plan: Plan, batch: int = 1) -> int:
    """Of a step of SGD with momentum: what autograd keeps for the backward pass, and the gradients on their way.

    Weights and momentum are there all the time; gradients of weights come as the backward pass reaches them.
    """
    last_use = _last_use(plan)
    kept_for: dict[str, int] = {}  # tensor -> the last operation, going backward, that autograd keeps it for
    for i, op in enumerate(plan.ops):
        for name in KINDS[op.kind].keeps(op):
            kept_for.setdefault(name, i)
    live = peak = plan.ops[0].size
    for i, op in enumerate(plan.ops[1:], start=1):
        live += op.size + KINDS[op.kind].keeps_beside(op)
        peak = max(peak, live)
        live -= sum([plan[name].size for name in set(op.inputs) if last_use[name] == i and name not in kept_for])
    most = peak * batch + 2 * plan.params
    released: dict[int, list[str]] = {}
    for name, i in kept_for.items():
        released.setdefault(i, []).append(name)
    gradients = _Gradients(plan)
    weights = 0
    for i in range(len(plan.ops) - 1, 0, -1):
        op = plan.ops[i]
        gradients.backward(op)
        weights += op.params
        most = max(most, (live + gradients.peak) * batch + weights + 2 * plan.params)
        live -= KINDS[op.kind].keeps_beside(op)
        live -= sum([plan[name].size for name in released.get(i, ()) if name != plan.ops[-1].name])
    return BYTES * max(most, 3 * plan.params)


def scratch_bytes(plan: Plan, batch: int, gradients: bool) -> int:
    """What convolutions take beside tensors on `batch` images, with or without a backward pass; an upper estimate.

    `library_bytes` come beside it, the first time.
    """
    largest = max((op.size + sum(plan[name].size for name in op.inputs) for op in plan.ops if op.macs), default=0)
    return BYTES * (COPIES_BACKWARD if gradients else COPIES_FORWARD) * largest * batch


def fast_form_bytes(plan: Plan) -> int:
    """The weights of a network's fast form, which it has beside the network's own."""
    return BYTES * plan.params


def library_bytes(plan: Plan) -> int:
    """What convolutions take once, however many images there are."""
    return LIBRARIES + KERNELS * sum(op.macs > 0 for op in plan.ops)


class _Gradients:
    """The storages of activations' gradients: an add passes on its own, a concat slices of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.images = plan.ops[0].name
        self.storage_of: dict[str, int] = {}
        self.users: dict[int, int] = {}
        self.size: dict[int, int] = {}
        self.live = self.peak = 0
        self._give(plan.ops[-1].name, self._make(plan.ops[-1].size))

    def backward(self, op: Op) -> None:
        """From the gradient of an operation's output to those of its inputs; `peak` is the most during this."""
        self.peak = self.live
        own = self.storage_of.pop(op.name)
        for name in op.inputs:
            if name != self.images:
                passed_on = KINDS[op.kind].join in ("sum", "concat")
                self._give(name, own if passed_on else self._make(self.plan[name].size))
        self._drop(own)

    def _give(self, name: str, storage: int) -> None:
        """A gradient for a tensor; where it has one already, both are added up in a new storage."""
        self.users[storage] = self.users.get(storage, 0) + 1
        if name not in self.storage_of:
            self.storage_of[name] = storage
            return
        old, self.storage_of[name] = self.storage_of[name], self._make(self.plan[name].size)
        self.users[self.storage_of[name]] = 1
        self._drop(old)
        self._drop(storage)

    def _make(self, size: int) -> int:
        storage = len(self.size)
        self.size[storage] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        return storage

    def _drop(self, storage: int) -> None:
        self.users[storage] -= 1
        if not self.users[storage]:
            self.live -= self.size[storage]


def _last_use(plan: Plan) -> dict[str, int]:
    return {name: i for i, op in enumerate(plan.ops) for name in op.inputs} | {
        plan.ops[0].name: -1  # the images are their caller's: they stay to the end
    }
