"""The archive's file format: segments and their manifests, with no database in sight.

`writer` makes segments, `reader` and `verify` read them, `rewrite` copies and deletes.
"""
