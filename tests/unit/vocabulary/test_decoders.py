"""A kind of record is read in several threads at once from the first time on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from convstore.vocabulary.documents import encode_document
from tests.unit.segments.made import odd

_TOGETHER = """
import os, sys, threading
from convstore.vocabulary.documents import decode_document

line = sys.stdin.buffer.read()
sys.setswitchinterval(1e-6)

def all_at_once():
    start = threading.Barrier(8)

    def read():
        start.wait()
        decode_document(line)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

# Each of these processes reads for the first time.
for _ in range(60):
    child = os.fork()
    if not child:
        all_at_once()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"ended by {status}")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_the_first_documents_may_be_read_by_several_threads() -> None:
    line = encode_document(next(iter(odd())))

    done = subprocess.run(
        [sys.executable, "-c", _TOGETHER], input=line, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
