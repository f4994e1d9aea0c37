"""One module per import format: `parse` a record, and `to_record` back."""
