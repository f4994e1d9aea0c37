"""`convstore worker`: the scheduler as a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from convstore.cli.context import with_store
from convstore.cli.output import warn
from convstore.cli.signals import stopping

if TYPE_CHECKING:
    from convstore.store.facade import Store


def worker(context: typer.Context) -> None:
    """Run retention, verification, upkeep and compaction.

    Until SIGTERM or Ctrl-C. The batch that is under way is finished first. Any number
    of workers may run.
    """
    import logging

    # Ours alone: at INFO the libraries below tell of each statement and each timer.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("convstore").setLevel(logging.INFO)

    async def work(store: Store) -> None:
        async with stopping() as stop, store.scheduler():
            warn(
                f"working on {store.config.archive_place}; stop with SIGTERM or Ctrl-C"
            )
            await stop.wait()
            warn("stopping: what is under way is finished")

    with_store(context, work, create=True)
