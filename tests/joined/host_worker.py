"""An application that keeps an order and its message together: run as a process.

Arguments: the store's URL, the driver, the number of its first order, and how many.
"""

import asyncio
import sys
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from convstore import StoreConfig, blocking, open_store
from tests.joined.hosts import BLOCKING, blocking_engine_of, engine_of, orders

report: Any = globals()["report"]
wait_for_all: Any = globals()["wait_for_all"]
URL, DRIVER, FIRST, COUNT = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5])


async def own_writes(store: Any) -> None:
    for number in range(FIRST, FIRST + COUNT):
        name = f"own-{number}"
        await store.turns.append("s-1", role="user", content=name, external_id=name)


async def host(store: Any, engine: Any) -> None:
    for number in range(FIRST, FIRST + COUNT):
        name = f"order-{number}"
        async with engine.begin() as connection:
            await connection.execute(insert(orders).values(id=number))
            tx = store.joined(connection)
            turn = await tx.turns.append(
                "s-1", role="user", content=name * 50, external_id=name
            )
            await tx.interactions.add_feedback(
                "s-1", turn_seq=turn.seq, feedback="up", external_id=name
            )
        report(number)


async def main() -> None:
    engine = engine_of(URL, DRIVER)
    async with open_store(StoreConfig(url=URL)) as store:
        wait_for_all()
        await asyncio.gather(host(store, engine), own_writes(store))
    await engine.dispose()


def main_of_threads() -> None:
    engine = blocking_engine_of(URL, DRIVER.removesuffix("-blocking"))
    with blocking.open_store(StoreConfig(url=URL)) as store:
        wait_for_all()
        for number in range(FIRST, FIRST + COUNT):
            name = f"order-{number}"
            with Session(engine) as db, db.begin():
                db.execute(insert(orders).values(id=number))
                tx = store.joined(db)
                turn = tx.turns.append(
                    "s-1", role="user", content=name * 50, external_id=name
                )
                tx.interactions.add_feedback(
                    "s-1", turn_seq=turn.seq, feedback="up", external_id=name
                )
            report(number)
            store.turns.append("s-1", role="user", content="own")
    engine.dispose()


if DRIVER.endswith("-blocking"):
    assert DRIVER.removesuffix("-blocking") in BLOCKING
    main_of_threads()
else:
    asyncio.run(main())
