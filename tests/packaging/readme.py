"""The blocks of the README, in their order, on a machine with nothing but Python:
`readme.py FOLDER` copies the checkout there and runs them in one shell.

What other tests and stages run is left out: `scripts/demo` and `scripts/test`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> int:
    home = Path(sys.argv[1]) / "new-user"
    checkout, bin_ = home / "convstore", home / "bin"
    checkout.mkdir(parents=True)
    bin_.mkdir()
    # As a clone has it: what is not ignored.
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(
        ["tar", "--create", "--null", "--files-from=-", "--file", home / "all.tar"],
        cwd=ROOT,
        input=tracked.stdout,
        check=True,
    )
    subprocess.run(["tar", "-xf", home / "all.tar"], cwd=checkout, check=True)
    base = Path(os.path.realpath(sys.executable))
    (bin_ / "python3").symlink_to(base)
    kept = ("LANG", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE")
    # Where packages come from is the machine's; the rest is a new user's.
    configured = {
        name: value
        for name, value in os.environ.items()
        if name in kept or name.lower().endswith("_proxy") or "CERT" in name
    }
    environment = {**configured, "HOME": str(home), "PATH": f"{bin_}:/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", "-ec", "\n".join(_commands())], cwd=checkout, env=environment
    )
    return done.returncode


def _commands() -> list[str]:
    lines = []
    for kind, block in _BLOCK.findall((ROOT / "README.md").read_text("utf-8")):
        if kind == "sh":
            lines.append(f"set -x\n{block}set +x")
        else:
            lines.append(f"python - <<'CONVSTORE_BLOCK'\n{block}CONVSTORE_BLOCK")
    return lines


if __name__ == "__main__":
    sys.exit(main())
