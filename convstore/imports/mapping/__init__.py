"""Records of any shape as sessions, by a mapping file."""
