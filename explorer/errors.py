"""The one base class of all that the library refuses."""


class ExplorerError(ValueError):
    """What was asked for cannot be: one sentence for the user, with the way out."""
