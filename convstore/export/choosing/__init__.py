"""Which rows stay: duplicates, neighbours, caps, balance, splits."""
