"""Orders by SQLAlchemy's ORM, and what their customers are told of them.

Who the customer is, it takes from a header: put your own authentication in `user_of`.
The table of orders is made at the start, as suits an example: with several workers
make it by a migration.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import Connection, event, make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from convstore import ConvstoreError, Store, StoreConfig, open_store
from convstore.types import http_status

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


class Base(DeclarativeBase):
    """The shop's own tables."""


class Order(Base):
    """Something that a customer has bought."""

    __tablename__ = "shop_orders"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item: Mapped[str]


class Wish(BaseModel):
    """What is ordered."""

    item: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\x00]*$")]


def make_engine(url: str) -> AsyncEngine:
    """The shop's engine on the database that it shares with the store."""
    given = make_url(url)
    backend = given.get_backend_name()
    if backend != "sqlite":
        return create_async_engine(given.set(drivername=DRIVERS[backend]))
    engine = create_async_engine(
        given.set(drivername=DRIVERS[backend]), connect_args={"isolation_level": None}
    )
    # As SQLAlchemy comes, Python's driver begins no transaction at a savepoint.
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def user_of(x_user_id: Annotated[str, Header()] = "") -> str:
    """The customer who asks; nobody is not somebody."""
    if not x_user_id:
        raise HTTPException(401, "X-User-ID says who asks")
    return x_user_id


User = Annotated[str, Depends(user_of)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


async def place(number: Number, wish: Wish, user: User, request: Request) -> Any:
    """Both the order and the message, or neither."""
    store: Store = request.app.state.store
    try:
        async with AsyncSession(request.app.state.engine) as db, db.begin():
            db.add(Order(number=number, item=wish.item))
            await db.flush()
            chat = store.joined(db).conversation(f"orders-{user}", user_id=user)
            turn = await chat.append(role="assistant", content=f"Ordered: {wish.item}")
    except IntegrityError:
        raise HTTPException(409, "there is such an order") from None
    return {"turn": turn.seq}


async def conversation(user: User, request: Request) -> Any:
    """What the customer was told, oldest first."""
    store: Store = request.app.state.store
    turns = await store.conversation(f"orders-{user}", user_id=user).window(limit=20)
    return {"said": [turn.content for turn in turns]}


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """An error of the store as a status and its stable code."""
    assert isinstance(error, ConvstoreError)
    return JSONResponse({"error": error.code}, http_status(error))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The store first: it makes its tables in a file that is not there yet."""
    engine = make_engine(StoreConfig().database_url)
    async with open_store(engine) as store:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        app.state.engine, app.state.store = engine, store
        yield
    await engine.dispose()


def make_app() -> FastAPI:
    """The application, on the database that convstore's settings name."""
    app = FastAPI(title="A shop on convstore", lifespan=lifespan)
    app.add_api_route("/orders/{number}", place, methods=["POST"], status_code=201)
    app.add_api_route("/conversation", conversation, methods=["GET"])
    app.add_exception_handler(ConvstoreError, refuse)
    return app
