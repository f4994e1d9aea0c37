"""One module per import format: `parse` makes a session of a record."""
