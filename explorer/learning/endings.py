"""How a training ends before its last step; the message is a sentence for the reader."""


class Stopped(Exception):
    """Somebody asked for it, or the time is over."""


class Diverged(Exception):
    """The loss, or a weight, is no number any longer. A result, not a failure."""
