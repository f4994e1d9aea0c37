"""Every error that convstore raises; the tree is drawn in `vocabulary/errors.py`."""

from convstore.vocabulary.errors import *  # noqa: F403
