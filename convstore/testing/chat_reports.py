"""What the laboratory found, in numbers and in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from convstore.testing.chat_verdict import Verdict

_SAID = {
    "lost": "acknowledged messages are lost",
    "doubled": "messages are there twice",
    "disordered": "messages stand before an earlier one of their writer",
    "half": "calls are there by half",
    "torn": "calls have messages of others between their own",
    "denied": "calls were said to have failed, and are there",
    "stray": "messages were written by nobody, or changed",
}


@dataclass(frozen=True, slots=True)
class CrashReport:
    """What processes left that were killed while they wrote.

    Attributes:
        refusals: Calls that raised, by the name of the error: no fault by itself.
        failed: Processes that could not open the store, or read it, by the error.
        goes_on: The store could be written to afterwards, without being helped.
    """

    kills: int
    verdict: Verdict
    refusals: Mapping[str, int]
    failed: Mapping[str, int]
    goes_on: bool

    def faults(self) -> list[str]:
        """What should not be, a sentence each; empty when all is well."""
        said = [*_verdict(self.verdict), *_failed(self.failed)]
        if not self.goes_on:
            said.append("the store could not be gone on with")
        return said

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return asdict(self) | {"faults": self.faults()}


@dataclass(frozen=True, slots=True)
class RaceReport:
    """What many writers of one session left.

    Attributes:
        refusals: Calls that raised, by the name of the error: no fault by itself.
        failed: Processes that could not open or read, once the store was there.
        unopened: Of processes that opened an empty place at once, the errors.
        reads: Reads while it was written to.
        moved: Reads that do not begin with what the read before had shown.
    """

    writers: int
    processes: int
    verdict: Verdict
    refusals: Mapping[str, int]
    failed: Mapping[str, int]
    unopened: Mapping[str, int]
    reads: int
    moved: int

    def faults(self) -> list[str]:
        """What should not be, a sentence each; empty when all is well."""
        said = [*_verdict(self.verdict), *_failed(self.failed)]
        if count := sum(self.unopened.values()):
            names = ", ".join(self.unopened)
            said.append(f"{count} that opened an empty place at once failed: {names}")
        if self.moved:
            said.append(f"{self.moved} reads take back what was read before")
        return said

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return asdict(self) | {"faults": self.faults()}


def _verdict(verdict: Verdict) -> Iterator[str]:
    for name, said in _SAID.items():
        if count := getattr(verdict, name):
            yield f"{count} {said}"
    if not verdict.acknowledged:
        yield "nothing was acknowledged"


def _failed(failed: Mapping[str, int]) -> Iterator[str]:
    if failed:
        yield f"{sum(failed.values())} processes failed: {', '.join(failed)}"
