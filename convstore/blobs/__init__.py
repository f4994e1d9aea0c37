"""Bytes under a key that the library made: one contract, several stores.

See `base` for the contract, and `convstore.testing.blob_suite` for its tests.
"""
