"""Where alembic gets its connection from: ours when called by convstore, or a URL.

`alembic upgrade head` takes the URL from `-x url=…` or from the settings, and so the
schema from `-x schema=…`.
"""

from alembic import context
from sqlalchemy import Connection

from convstore.db import migrate, models, schema
from convstore.vocabulary.settings import load_config

# The words of alembic's command line that move a database; `current` and `check` leave
# it as it is.
MOVES = {"upgrade", "downgrade", "stamp"}


def is_declared(name: str | None, kind: str, _parents: object) -> bool:
    # SQLite's index of words is a virtual table, and so are the tables behind it.
    return kind != "table" or not str(name).startswith(models.WORDS)


def run(connection: Connection) -> None:
    command = getattr(context.config.cmd_opts, "cmd", None)
    # Without one, convstore itself has begun already.
    moves = command is not None and command[0].__name__ in MOVES
    if moves:
        migrate.begin(connection, upgrades=command[0].__name__ == "upgrade")
    else:
        schema.enter(connection)
    models.tell_postgres()
    context.configure(
        connection=connection,
        target_metadata=models.metadata,
        version_table=schema.VERSION_TABLE,
        transactional_ddl=True,
        compare_type=True,
        include_name=is_declared,
    )
    with context.begin_transaction():
        context.run_migrations()
    if moves:
        migrate.end(connection)


def offline() -> None:
    context.configure(
        dialect_name=context.get_x_argument(as_dictionary=True).get(
            "dialect", "sqlite"
        ),
        target_metadata=models.metadata,
        version_table=schema.VERSION_TABLE,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    offline()
else:
    given = context.config.attributes.get("connection")
    if given is not None:
        run(given)
    else:
        named = context.get_x_argument(as_dictionary=True)
        config = load_config()
        migrate.run_on(
            named.get("url") or config.database_url,
            run,
            pooler=config.pooler,
            place=named.get("schema") or config.db_schema,
        )
