"""Use an installed convstore as a stranger would: from another folder, no checkout.

Run by the Python of an environment that holds the wheel and nothing else.
"""

import asyncio
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import convstore


def command(*args: str) -> str:
    """What `python -m convstore` prints."""
    line = [sys.executable, "-m", "convstore", *args]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"convstore {' '.join(args)}: {done.returncode}\n{done.stderr}")
    return done.stdout


async def chat(url: str) -> None:
    async with convstore.open_store(url) as store:
        await store.sessions.get_or_create("s-1", user_id="u-1")
        await store.turns.append("s-1", role="user", content="Is anybody there?")
        turns = await store.turns.window("s-1", limit=20)
        assert [turn.content for turn in turns] == ["Is anybody there?"]


def main() -> None:
    package = Path(convstore.__file__).parent
    assert "site-packages" in package.parts, f"not the installed wheel: {package}"
    assert (package / "migrations" / "env.py").is_file(), "no migrations in the wheel"
    assert version("convstore") == convstore.__version__
    assert "sessions" in command("--help")
    script = Path(sys.executable).parent / "convstore"
    subprocess.run([script, "--help"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as home:
        command("--home", home, "db", "upgrade")
        command("--home", home, "db", "check")
        asyncio.run(chat(f"sqlite:///{home}/convstore.db"))
        assert "s-1" in command("--home", home, "sessions", "show", "s-1")
    with tempfile.TemporaryDirectory() as home:
        command("--home", home, "demo")
    print(f"the wheel of convstore {convstore.__version__} works from {Path.cwd()}")


if __name__ == "__main__":
    main()
