"""Files and folders that one process at a time works on."""

import os
from pathlib import Path


def locked(descriptor: int) -> bool:
    """Lock an open file for this process, until it is closed; False where another one has."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def hold(folder: Path) -> int | None:
    """Lock a folder for this process: a descriptor to close, which its process's end closes too.

    None where another process has it, it is not there, or the system locks no folders.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        # Whoever had it before may have removed it; then this is a lock of nothing.
        if locked(descriptor) and os.path.samestat(os.fstat(descriptor), os.lstat(folder)):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
