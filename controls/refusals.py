"""What any work on this machine may meet, in a sentence: memory that ends, a disk that is full."""

from explorer.counting.budget import BudgetError
from explorer.errors import DISK_FULL, ExplorerError
from explorer.running import devices


def refusal_of(error: Exception) -> ExplorerError | None:
    """What to say instead of an error; None for one that nobody foresaw. Whoever raises it does so outside of the
    `except` block, whose traceback keeps the memory.
    """
    if isinstance(error, ExplorerError):
        return error
    if devices.is_out_of_memory(error):
        return BudgetError("There was too little memory for this: try a smaller input, fewer images or less at once.")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return BudgetError("The server's disk is full: what this writes on the way has no room. Try again later.")
    return None
