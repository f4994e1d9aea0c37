"""`python -m convstore`: the same as the command `convstore`."""

from __future__ import annotations

from convstore.cli.app import main

if __name__ == "__main__":
    main()
