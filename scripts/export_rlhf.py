#!/usr/bin/env python3
"""Export data sets: scripts/export_rlhf.py FORMAT[,FORMAT…] FOLDER [--dry-run]."""

import argparse
import asyncio

from convstore import open_store

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("formats", type=lambda text: text.split(","))
parser.add_argument("to")
parser.add_argument("--url", help="default: the settings")
parser.add_argument("--dry-run", action="store_true")


async def main(args: argparse.Namespace) -> None:
    async with open_store(args.url) as store:
        report = await store.export(args.formats, to=args.to, dry_run=args.dry_run)
    for fmt in report.formats:
        print(f"{fmt.format}: {fmt.rows} rows {fmt.splits}; left out: {fmt.dropped}")


asyncio.run(main(parser.parse_args()))
