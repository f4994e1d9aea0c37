"""Finds kept between exports: the same bytes, sooner, and never a wrong find."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convstore.errors import InvalidInputError
from convstore.export.options import ExportOptions
from convstore.export.privacy import findings, patterns, presidio
from convstore.export.privacy.findings import FindCache, Finder, Found
from convstore.export.privacy.redaction import finder_of
from convstore.export.stages import workers as pool
from convstore.export.stages.job import run_export
from convstore.vocabulary.records import SessionDocument
from tests.unit.export.samples import Chat, tree

FINDER = Finder("some", "1", ("EMAIL", "IP"), lambda text: [])


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def some(number: int) -> list[Found]:
    return [Found(n, n + number, ("EMAIL", "IP")[n % 2]) for n in range(number % 5)]


def personal(count: int = 40) -> list[SessionDocument]:
    made = []
    for number in range(count):
        chat = Chat(f"s-{number}", title=f"Mail user{number}@example.org")
        chat.user(f"I am user{number}@example.org at 192.168.0.{number}.")
        chat.up(chat.assistant(f"Hello number {number}, call +31 6 1234 5678."))
        made.append(chat.document())
    return made


def cached(tmp_path: Path, **more: Any) -> ExportOptions:
    return ExportOptions(
        redact="regex", redaction_cache=tmp_path / "findings.cache", **more
    )


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the patterns were run over."""
    texts: list[str] = []
    find = patterns.find_patterns

    def noted(text: str) -> Any:
        texts.append(text)
        return find(text)

    monkeypatch.setattr("convstore.export.privacy.redaction.find_patterns", noted)
    return texts


def test_a_cache_changes_no_byte_empty_or_filled(tmp_path: Path) -> None:
    options = cached(tmp_path)
    run_export(personal(), ["kto"], tmp_path / "none", ExportOptions(redact="regex"))

    run_export(personal(), ["kto"], tmp_path / "fills", options)
    run_export(personal(), ["kto"], tmp_path / "takes", options)

    assert tree(tmp_path / "fills") == tree(tmp_path / "none")
    assert tree(tmp_path / "takes") == tree(tmp_path / "none")


def test_what_one_export_sought_the_next_one_does_not(
    tmp_path: Path, searched: list[str]
) -> None:
    run_export(personal(), ["kto"], tmp_path / "one", cached(tmp_path))
    assert len(searched) == len(set(searched)) > 100
    searched.clear()

    run_export(personal(41), ["kto"], tmp_path / "two", cached(tmp_path))

    assert len(searched) == 3
    assert all("40" in text for text in searched)


def test_a_dry_run_fills_the_cache(tmp_path: Path, searched: list[str]) -> None:
    run_export(personal(), ["kto"], tmp_path / "one", cached(tmp_path, dry_run=True))
    searched.clear()

    run_export(personal(), ["kto"], tmp_path / "one", cached(tmp_path))

    assert searched == []


def test_workers_share_the_cache(
    tmp_path: Path, searched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool.WorkerPool, "is_starting", False)
    monkeypatch.setattr(pool, "ALONE", 5)
    monkeypatch.setattr(pool, "BATCH_DOCUMENTS", 7)
    plain = ExportOptions(redact="regex")
    run_export(personal(120), ["kto"], tmp_path / "none", plain)

    run_export(personal(120), ["kto"], tmp_path / "one", cached(tmp_path, workers=2))
    searched.clear()
    run_export(personal(120), ["kto"], tmp_path / "two", cached(tmp_path))

    assert searched == []
    assert tree(tmp_path / "one") == tree(tmp_path / "none")
    assert tree(tmp_path / "two") == tree(tmp_path / "none")


def test_the_file_holds_no_text_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run_export(personal(), ["kto"], tmp_path / "out", cached(tmp_path))
    finally:
        os.umask(before)

    file = tmp_path / "findings.cache"
    assert file.stat().st_mode & 0o777 == 0o600
    held = file.read_bytes()
    assert not any(word in held for word in (b"example", b"user", b"EMAIL", b"s-1"))


def test_finds_are_given_back_as_they_were_put(tmp_path: Path) -> None:
    cache = FindCache(tmp_path / "c", FINDER)
    for number in range(500):
        cache.put(key(number), some(number))

    again = FindCache(tmp_path / "c", FINDER)

    assert [again.get(key(n)) for n in range(500)] == [some(n) for n in range(500)]
    assert again.get(key(500)) is None


def test_another_version_of_the_finder_seeks_anew(
    tmp_path: Path, searched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_export(personal(), ["kto"], tmp_path / "one", cached(tmp_path))
    sought = len(searched)
    monkeypatch.setattr("convstore.export.privacy.redaction.VERSION", 99)

    run_export(personal(), ["kto"], tmp_path / "two", cached(tmp_path))

    assert len(searched) == 2 * sought


def test_of_a_full_page_the_oldest_go_and_the_file_does_not_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "PAGES", 2)
    cache = FindCache(tmp_path / "c", FINDER)

    for number in range(1_000):
        cache.put(key(number), some(number))

    known = [cache.get(key(n)) is not None for n in range(1_000)]
    assert (tmp_path / "c").stat().st_size == 3 * findings.PAGE_BYTES
    assert not any(known[:700])
    assert all(known[-50:])


def test_a_text_full_of_finds_is_sought_each_time_and_drives_none_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "PAGES", 1)
    cache = FindCache(tmp_path / "c", FINDER)
    many = [Found(n, n + 1, "IP") for n in range(100_000)]

    cache.put(key(1), many[:200])
    cache.put(key(2), many)

    assert cache.get(key(1)) == many[:200]
    assert cache.get(key(2)) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_file_gives_nothing_wrong(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "PAGES", 4)
    cache = FindCache(tmp_path / "c", FINDER)
    for number in range(200):
        cache.put(key(number), some(number))
    chance = random.Random(seed)
    data = bytearray((tmp_path / "c").read_bytes())
    for _ in range(200):
        data[chance.randrange(findings.PAGE_BYTES, len(data))] ^= 1 << chance.randrange(
            8
        )
    (tmp_path / "c").write_bytes(data[: len(data) - chance.randrange(3_000)])

    read = FindCache(tmp_path / "c", FINDER)

    found = [read.get(key(number)) for number in range(200)]
    assert all(one in (None, some(number)) for number, one in enumerate(found))
    assert found.count(None) not in (0, 200)
    read.put(key(7), some(7))
    assert read.get(key(7)) == some(7)


def broken_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "file")


def writable_by_others(path: Path) -> None:
    FindCache(path, FINDER)
    path.chmod(0o620)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.write_bytes(b"SQLite format 3\0"), "something else"),
        (lambda path: path.write_bytes(b"convstore redaction"), "something else"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: os.mkfifo(path), "is no file"),
        (broken_link, "No such file"),
        (writable_by_others, "chmod 600"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], Any], told: str
) -> None:
    file = tmp_path / "findings.cache"
    make(file)
    before = file.lstat()

    with pytest.raises(InvalidInputError, match=told) as caught:
        run_export(personal(1), ["kto"], tmp_path / "out", cached(tmp_path))

    assert caught.value.field == "redaction_cache"
    assert (file.lstat().st_size, file.lstat().st_mtime_ns) == (
        before.st_size,
        before.st_mtime_ns,
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["out", "out/data", "out.partial"])
def test_a_cache_in_the_folder_of_the_export_is_refused(
    tmp_path: Path, place: str
) -> None:
    options = replace(cached(tmp_path), redaction_cache=tmp_path / place / "cache")

    with pytest.raises(InvalidInputError, match="must not lie in the folder"):
        run_export(personal(1), ["kto"], tmp_path / "out", options)


def test_a_cache_for_an_export_that_redacts_nothing_is_refused(tmp_path: Path) -> None:
    options = replace(cached(tmp_path), redact=None)

    with pytest.raises(InvalidInputError, match="redaction_cache"):
        run_export(personal(1), ["kto"], tmp_path / "out", options)


def test_a_cache_that_is_deleted_meanwhile_is_missed_by_nobody(tmp_path: Path) -> None:
    cache = FindCache(tmp_path / "c", FINDER)
    cache.put(key(1), some(1))
    (tmp_path / "c").unlink()

    other = FindCache(tmp_path / "c", FINDER)
    cache.put(key(2), some(2))

    assert cache.get(key(1)) == some(1)
    assert other.get(key(2)) is None


def test_without_room_an_export_goes_on_without_the_cache(
    tmp_path: Path, start_process: Callable[..., Any]
) -> None:
    run_export(personal(), ["kto"], tmp_path / "whole", ExportOptions(redact="regex"))
    process = start_process(
        """
import logging, resource, sys
from pathlib import Path
from convstore.export.stages.job import run_export
from tests.unit.export.test_redaction_cache import cached, personal

class Told(logging.Handler):
    def emit(self, record):
        report([record.event, record.getMessage()])

logging.getLogger("convstore.export.privacy.findings").addHandler(Told())
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
folder = Path(sys.argv[1])
run_export(personal(), ["kto"], folder / "out", cached(folder))
""",
        tmp_path,
    )

    told = list(process.reports())

    assert told == [
        [
            "redaction_cache_lost",
            "the redaction cache is not used any more: File too large",
        ]
    ]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


_WRITING = """
import sys
from pathlib import Path
from convstore.export.privacy import findings
from tests.unit.export.test_redaction_cache import FINDER, key, some

findings.PAGES = 2
cache = findings.FindCache(Path(sys.argv[1]), FINDER)
wait_for_all()
wrong = kept = 0
for number in range(int(sys.argv[2])):
    cache.put(key(number), some(number))
    found = cache.get(key(number // 2))
    kept += found is not None
    wrong += found not in (None, some(number // 2))
report([wrong, kept > 0])
"""


def test_processes_that_write_at_once_read_nothing_wrong(
    tmp_path: Path, run_processes: Callable[..., list[list[Any]]]
) -> None:
    told = run_processes(3, _WRITING, tmp_path / "c", 3_000, together=True)

    assert told == [[[0, True]]] * 3


_WRITING_ON = """
import sys
from pathlib import Path
from convstore.export.privacy.findings import FindCache
from tests.unit.export.test_redaction_cache import FINDER, key, some

cache = FindCache(Path(sys.argv[1]), FINDER)
number = 0
while True:
    cache.put(key(number % 2_000), some(number % 2_000))
    number += 1
    if number % 1_000 == 0:
        report(number)
"""


@pytest.mark.crash
def test_a_writer_that_is_killed_with_minus_nine_leaves_nothing_wrong(
    tmp_path: Path, start_process: Callable[..., Any]
) -> None:
    process = start_process(_WRITING_ON, tmp_path / "c")
    for number in process.reports():
        if number >= 5_000:
            break
    process.kill()

    cache = FindCache(tmp_path / "c", FINDER)
    found = [cache.get(key(number)) for number in range(2_000)]
    wrong = [n for n, one in enumerate(found) if one not in (None, some(n))]
    assert wrong == []
    assert found.count(None) < 10
    cache.put(key(-1), some(4))
    assert cache.get(key(-1)) == some(4)


@pytest.mark.parametrize(
    ("module", "known"),
    [(patterns, (1, "379cf5d4a55db422")), (presidio, (1, "b7c2f0fe79f36220"))],
)
def test_a_finder_that_changes_gets_another_version(
    module: Any, known: tuple[int, str]
) -> None:
    """A cache holds what some version found, and must not answer for another one.

    If the module finds anything otherwise than before, `VERSION` goes up. Either way
    the beginning of its SHA-256 is put here.
    """
    source = Path(module.__file__).read_bytes()

    assert (module.VERSION, hashlib.sha256(source).hexdigest()[:16]) == known


def test_the_names_of_finders_are_those_of_the_option() -> None:
    finder = finder_of("regex")

    assert finder is not None
    assert finder.name == "regex"
    assert {kind for _, _, kind in patterns.find_patterns("a@b.nl 10.0.0.1")} <= set(
        finder.kinds
    )
