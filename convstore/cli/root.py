"""The command `convstore`: global options, and errors as one line and an exit code.

Starting must be quick: a command's parts are imported when it runs.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from convstore.cli import exits
from convstore.cli.commands import add_commands
from convstore.cli.context import Globals
from convstore.cli.output import json_text, warn
from convstore.vocabulary.errors import NO_SPACE, ConvstoreError, StorageFullError
from convstore.vocabulary.version import __version__

app = typer.Typer(
    name="convstore",
    help="The durable memory of a chat backend.",
    epilog=exits.TABLE,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"convstore {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of database and archive [env: CONVSTORE_HOME]."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Database URL [env: CONVSTORE_URL].")
    ] = None,
    archive_dir: Annotated[
        str | None,
        typer.Option(
            help="Archive: a folder or s3://BUCKET/PREFIX [env: CONVSTORE_ARCHIVE_DIR]."
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Whose sessions [env: CONVSTORE_TENANT].")
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Keep conversations: store, judge, archive, restore, erase and export them."""
    context.obj = Globals(home, url, archive_dir, tenant)


add_commands(app)


def main() -> None:
    """Run the command line and end the process."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # Closed by the caller, as `>&-` does.
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            atexit.register(stream.close)
            setattr(sys, name, stream)
        elif isinstance(stream, io.TextIOWrapper):
            # Never fail on a character that the terminal's encoding lacks.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Errors are told, none gets out."""
    as_json = "--json" in arguments
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
        if code == exits.INTERRUPTED:
            raise KeyboardInterrupt  # Taken for an exit code on the way.
        return code if isinstance(code, int) else exits.OK
    except ConvstoreError as error:
        return _tell(as_json, error.code, str(error), exits.code_of(error), error)
    except typer.Abort:
        return _tell(as_json, "aborted", "nothing was done", exits.FOUND)
    except TyperException as error:
        if help_text := _help_instead(error):
            print(help_text, file=sys.stderr)
            return exits.USAGE
        return _tell(as_json, "usage", _usage(error), exits.USAGE)
    except KeyboardInterrupt:
        told = "interrupted; what was done is kept, and the same command goes on"
        return _tell(as_json, "interrupted", told, exits.INTERRUPTED)
    except BrokenPipeError:  # The reader has seen enough.
        _drop_output()
        return exits.OK
    except OSError as error:
        return _tell_os(as_json, error)
    except Exception as error:  # noqa: BLE001
        # The edge of the process: no traceback reaches a user. The message may quote
        # what people said: only what kind it is, and where.
        return _tell(as_json, "internal", _where(error), exits.INTERNAL)


def _drop_output() -> None:
    """Write what was not printed to nowhere: Python's own flush at exit must not
    complain of what has been told."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_os(as_json: bool, error: OSError) -> int:
    if error.errno not in NO_SPACE:
        name = error.filename or "the system"
        return _tell(as_json, "os", f"{name}: {error.strerror}", exits.USAGE)
    # What has no name is a stream. What it holds back would be written at exit.
    where = error.filename or "the output"
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    told = StorageFullError(
        f"no space left for {where}: make room and run the command again"
    )
    return _tell(as_json, told.code, str(told), exits.code_of(told), told)


def _invoke(arguments: Sequence[str]) -> object:
    command = typer.main.get_command(app)
    try:
        return command.main(
            list(arguments), prog_name="convstore", standalone_mode=False
        )
    except SystemExit as end:
        # A write that finds the reader gone is turned into exit code 1 on the way.
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise


def _help_instead(error: TyperException) -> str | None:
    """The help text, if that is what the error holds: a group was called alone."""
    context = getattr(error, "ctx", None)
    text = str(error)
    return text if context is not None and text == context.get_help() else None


def _usage(error: TyperException) -> str:
    # `format_message` names the option; the plain text of a few lacks it.
    tell = getattr(error, "format_message", None)
    text = str(tell() if tell else error)
    context = getattr(error, "ctx", None)
    path = "convstore" if context is None else context.command_path
    option = getattr(error, "option_name", None)
    if context is not None and option in {
        name for param in context.find_root().command.params for name in param.opts
    }:
        text = f"{option} goes before the command: convstore {option} …"
    return f"{text} (see {path} --help)"


def _where(error: Exception) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    at = "" if place is None else f" at {_place(place.tb_frame.f_code.co_filename)}"
    line = "" if place is None else f":{place.tb_lineno}"
    return f"{type(error).__name__}{at}{line}: a fault in convstore, please report it"


def _place(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def _tell(
    as_json: bool,
    code: str,
    message: str,
    status: int,
    error: ConvstoreError | None = None,
) -> int:
    if as_json:
        told = {
            "error": code,
            "message": message,
            "transient": error is not None and error.transient,
            "exit_code": status,
        }
        warn(json_text(told))
    else:
        warn(f"convstore: {message}")
    return status
