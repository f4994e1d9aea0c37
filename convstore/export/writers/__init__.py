"""Writers of shards: packed rows in, files out."""
