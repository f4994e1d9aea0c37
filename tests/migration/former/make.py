"""Makes what lies beside it: a filled database, and its archive, of an older release.

Run once with the code of commit 50d8406, the last whose revision is in
`alembic_version`, and `pg_dump` on the PATH:

    PYTHONPATH=CHECKOUT python tests/migration/former/make.py DIR postgresql://…/empty

Writes `sqlite.sql`, `postgres.sql` and the folders `sqlite-archive` and
`postgres-archive`. What it says is invented.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from convstore import StoreConfig, open_store
from convstore.db import migrate


async def _fill(url: str, archive_dir: Path) -> None:
    config: Any = StoreConfig(url=url, archive_dir=archive_dir)
    async with open_store(config) as store:
        for name in ("archived", "held", "live"):
            await store.sessions.get_or_create(
                name, user_id="u-1", metadata={"app": "chat"}
            )
            await store.turns.append(
                name, role="user", content=f"Vraag van {name}?", slots={"place": "Goor"}
            )
            answer = await store.turns.append(
                name, role="assistant", content="Drie.", external_id="m-2"
            )
            await store.interactions.record(
                name, action="feedback", turn_seq=answer.seq, feedback="correct"
            )
            await store.graph_states.put(name, {"nodes": [1]})
            await store.ledger.pin(name, model="m", tier="t")
        await store.holds.place("held", reason="case")
        await store.run_retention(older_than_s=0)
        await store.restore("live")


def main(folder: Path, postgres_url: str) -> None:
    file = folder / "former.db"
    migrate.upgrade(postgres_url)
    asyncio.run(_fill(f"sqlite:///{file}", folder / "sqlite-archive"))
    asyncio.run(_fill(postgres_url, folder / "postgres-archive"))
    connection = sqlite3.connect(file)
    (folder / "sqlite.sql").write_text("\n".join(connection.iterdump()) + "\n")
    connection.close()
    for path in folder.glob("former.db*"):
        path.unlink()
    dump = subprocess.run(
        ["pg_dump", "--no-owner", "--no-privileges", "--inserts", postgres_url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    kept = [line for line in dump.splitlines() if not line.startswith(("\\", "--"))]
    (folder / "postgres.sql").write_text("\n".join(filter(None, kept)) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
