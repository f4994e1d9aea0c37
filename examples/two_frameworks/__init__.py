"""One agent under two frameworks, with one history."""
