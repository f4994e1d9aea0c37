"""The command line: an edge that sees the facade and the vocabulary only."""
