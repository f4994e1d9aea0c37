"""What may be forgotten at any moment: sessions kept warm, prefixes of gateways.

Knows no database. Nothing lives only here, and nothing is decided by it.
"""
