"""`convstore web tokens`: who may see a page that is shared."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from convstore.cli.context import AsJson, Yes, config_of, confirm
from convstore.cli.output import clean, print_json, print_table, say
from convstore.cli.values import bad_option
from convstore.cli.web import token_file


def commands() -> dict[str, object]:
    """The commands of the group, by name."""
    return {"add": add, "list": list_, "remove": remove}


def add(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Theirs: judgements are recorded under it.")
    ],
    role: Annotated[str, typer.Option(help="reader, annotator or operator.")],
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another tenant that they see; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give somebody a token for a shared page, and print it: this once.

    For the tenant of the settings, or of --tenant before the command. The file, in the
    home of the store, has a digest of it alone.
    """
    tenants = [config_of(context).tenant, *(also or [])]
    token = token_file(context).add(name, role=role, tenants=tenants)  # type: ignore[arg-type]
    if as_json:
        print_json({"name": name, "role": role, "tenants": tenants, "token": token})
    else:
        say(token)


def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List who has a token, with role and tenants; no token is kept."""
    holders = token_file(context).holders()
    if as_json:
        told = [asdict(one) for one in holders]
        print_json([{k: v for k, v in one.items() if k != "digest"} for one in told])
        return
    print_table(
        ("name", "role", "tenants", "since"),
        (
            (one.name, one.role, ", ".join(one.tenants), one.created_at)
            for one in holders
        ),
    )


def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose token.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take somebody's token away: they are out at once. Their judgements stay."""
    confirm(f"Take the token of {clean(name)} away?", yes)
    if not token_file(context).remove(name):
        raise bad_option("NAME", f"{name!a} has no token")
    if as_json:
        print_json({"removed": name})
    else:
        say(f"{name} has no token any more")
