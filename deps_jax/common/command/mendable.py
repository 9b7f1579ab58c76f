"""Errors that whoever runs a command can mend: bad input, files, a full disk, too little memory."""
from __future__ import annotations

import errno

from deps_jax.common.files.sealed import FullDisk, is_full

# What libraries say of it in errors of their own; the last two when the system has ended a process
# that reads data, as Linux does where memory is short.
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "insufficient memory", "cannot allocate",
                  "can't start new thread", "bad_alloc", "pool was terminated abruptly",
                  "was terminated unexpectedly")
_NO_SHARED_MEMORY = "exit code -7"  # SIGBUS, of a process that writes where there is no room left


def is_mendable(error: Exception) -> bool:
    """Whether `sentence` is all that is to be told; others are our own mistakes."""
    return isinstance(error, OSError | ValueError) or is_full(error) or is_out_of_memory(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is of too little memory, of this machine or of a device."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    # A ValueError is a sentence of this project, which may quote such a text.
    text = "" if isinstance(error, ValueError) else str(error).lower()
    return any(words.lower() in text for words in _OUT_OF_MEMORY)


def sentence(error: Exception) -> str:
    """One sentence for the user; about a file or folder that cannot be used, its path and why."""
    if is_full(error) and not isinstance(error, FullDisk):
        path = getattr(error, "filename", None) or "this run"
        return f"the disk of {path} is full; free some space and run the same command again"
    if is_out_of_memory(error) and _NO_SHARED_MEMORY in str(error):
        return ("the shared memory of this machine (/dev/shm) is full, through which data.workers "
                "hand over batches; make it larger (docker run --shm-size=8g) or set "
                "data.workers=0, and run the same command again: what was saved is kept")
    if is_out_of_memory(error):
        why = (str(error).splitlines() or [""])[0].strip() or type(error).__name__
        return (f"there is not enough memory ({why:.200}); close other programs, or use a smaller "
                f"batch or fewer workers, and run the same command again: what was saved is kept")
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    path = error.filename if error.filename2 is None else error.filename2
    return (f"{path} cannot be used ({error.strerror}); check the path, that you may read and "
            f"write it, and the space on the disk")
