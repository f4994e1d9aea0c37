"""Data sets coming in: formats are pure functions from a record to a session."""
