"""What is personal in a text, found and taken out before rows are made."""
