"""The one base class of all that the library refuses, and how the system says that a disk is full."""

import errno

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # the disk, one user's part of it, one file's


class ExplorerError(ValueError):
    """What was asked for cannot be: one sentence for the user, with the way out."""
