"""Data sets out: documents become rows by rules, and rows become files by formats.

`job.run_export` is the whole way; `shard.write_shard` makes one small data set.
"""
