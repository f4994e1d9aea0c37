"""Exports judged from outside, with the libraries that read them."""
