"""A chat backend on convstore, small enough to read and whole enough to run."""
