#!/usr/bin/env python3
"""Export data sets from a checkout: `convstore export`, with its options.

CONVSTORE_HOME or CONVSTORE_URL say from where; in an environment that has convstore:
    scripts/export_rlhf.py preference kto --to data --split train=0.9 ...
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from convstore.cli.root import run

sys.exit(run(["export", *sys.argv[1:]]))
