"""Rows to segments and back: what is archived, restored, looked at and read."""
