"""The tests. Real databases come from wheels; see `servers.py` and `conftest.py`."""
