"""Where the command begins: an interrupt that comes while the rest is imported ends it
as one that comes later does."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from convstore.cli.loading import be_the_program, loading

_CODE = 130
_TOLD = "interrupted; nothing was done"
_AS_JSON = (
    f'{{"error":"interrupted","message":"{_TOLD}",'
    f'"transient":false,"exit_code":{_CODE}}}\n'
)


def main() -> None:
    """Import the command line, run it, and end the process."""
    # Where the caller has interrupts ignored, as `nohup` does, they stay so.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _end)
    be_the_program()
    with loading():
        from convstore.cli.root import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _end(_number: int, _frame: FrameType | None) -> None:
    """Nothing is open yet that had to be put in order."""
    told = _AS_JSON if "--json" in sys.argv else f"convstore: {_TOLD}\n"
    try:
        os.write(2, told.encode())
    finally:
        os._exit(_CODE)
