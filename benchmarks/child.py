"""One measurement in a process of its own: its arguments and its result are JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from importlib import import_module
from typing import Any


def main() -> None:
    """Run `module:function` with the arguments given, and print what it returns."""
    warnings.filterwarnings("ignore")  # the peers' own
    module, function = sys.argv[1].split(":")
    arguments: dict[str, Any] = json.loads(sys.argv[2])
    try:
        result = asyncio.run(getattr(import_module(module), function)(**arguments))
    except ImportError as error:
        result = {"missing": str(error.name)}
    print(json.dumps(result), flush=True)
    # Some peers leave threads behind that never end.
    os._exit(0)


if __name__ == "__main__":
    main()
