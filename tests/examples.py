"""Small networks for the tests of kinds of operations."""

from explorer.plan import Plan, Recorder
from explorer.plan.kinds import KINDS

SIDE = 12


def example(kind: str, size: int = SIDE) -> Plan:
    """The kind's own example between an image and a classifier."""
    net = Recorder(3, size)
    with net.stage("body"):
        x = KINDS[kind].example(net)
    with net.stage("head"):
        net.linear("fc", net.global_pool("pool_of_all", x), 5)
    return net.finish()
