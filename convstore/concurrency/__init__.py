"""How work waits for work: to the end, together, alongside, between threads."""
