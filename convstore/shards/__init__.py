"""One face over several stores, each on a database of its own; they know nothing of it.

`placing` says for every verb where it is carried out.
"""
