"""Which upstream session knows a conversation already, by the hash of its prefix."""
