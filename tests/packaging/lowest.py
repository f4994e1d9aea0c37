"""Print a constraint for the lowest version that a wheel allows of each requirement.

A lower bound that nobody installs stops being true with the first new name that is
used: lowest.py WHEEL > constraints.txt.
"""

import re
import sys
import zipfile
from email.parser import Parser


def lowest(wheel: str) -> list[str]:
    """Such as `typer==0.28`, without those of extras."""
    with zipfile.ZipFile(wheel) as files:
        (name,) = (n for n in files.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(files.read(name).decode("utf-8"))
    required = metadata.get_all("Requires-Dist", [])
    found = (
        re.match(r"([\w.-]+).*?>=([\w.]+)", line)
        for line in required
        if "extra ==" not in line
    )
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    print("\n".join(lowest(sys.argv[1])))
