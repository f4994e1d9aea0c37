"""What may be forgotten at any moment: sessions and windows kept warm.

Knows no database. Nothing lives only here, and nothing is decided by it.
"""
