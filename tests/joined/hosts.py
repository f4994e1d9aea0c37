"""Applications with a database of their own: the store's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

ASYNC = ("sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg")
BLOCKING = ("sqlite", "postgresql+psycopg")

orders = Table(
    "host_orders",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("what", String(40)),
)


def bare_url(url: str, driver: str) -> str:
    return f"{driver}://{url.partition('://')[2]}"


def engine_of(url: str, driver: str, **options: Any) -> AsyncEngine:
    """An application's engine, with the listeners that its savepoints need."""
    if driver.startswith("sqlite"):
        options.setdefault("connect_args", {"isolation_level": None})
    engine = create_async_engine(bare_url(url, driver), **options)
    if driver.startswith("sqlite"):
        event.listen(engine.sync_engine, "begin", begin_immediate)
    return engine


def blocking_engine_of(url: str, driver: str, **options: Any) -> Engine:
    if driver.startswith("sqlite"):
        options.setdefault("connect_args", {"isolation_level": None})
    engine = create_engine(bare_url(url, driver), **options)
    if driver.startswith("sqlite"):
        event.listen(engine, "begin", begin_immediate)
    return engine


def begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


async def order(connection: AsyncConnection, number: int) -> None:
    await connection.execute(insert(orders).values(id=number, what="tea"))


async def count_orders(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(
            (
                await connection.execute(select(func.count()).select_from(orders))
            ).scalar_one()
        )
