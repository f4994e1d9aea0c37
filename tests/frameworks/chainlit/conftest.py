"""Imports Chainlit: it writes its settings where it is run, and its packages warn."""

from __future__ import annotations

import os
import tempfile
import warnings

os.environ.setdefault("CHAINLIT_APP_ROOT", tempfile.mkdtemp(prefix="chainlit-"))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import chainlit.data.base
    import chainlit.data.storage_clients.base
    import chainlit.session  # noqa: F401
