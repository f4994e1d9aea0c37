"""An S3 server to be run as a process: moto, which answers one request at a time.

Between looking whether an object is there and putting it, moto lets other threads in;
a real server does not, and so neither does this one.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable
from typing import Any

BUCKETS = ("archive", "versions")
ACCOUNT = "123456789012"


def main(port: int) -> None:
    """Serve on 127.0.0.1 until killed."""
    from moto.s3.models import s3_backends
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in BUCKETS:
        s3_backends[ACCOUNT]["aws"].create_bucket(name, "us-east-1")
    s3_backends[ACCOUNT]["aws"].put_bucket_versioning("versions", "Enabled")
    moto, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        with lock:
            return [b"".join(moto(environ, start))]

    run_simple("127.0.0.1", port, one_at_a_time, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
