"""The store under agent frameworks: one module each, one extra each.

None is imported by the rest of the package, and none knows another. What a framework
adds is kept twice: in the turn's columns, which windows, exports and the other adapters
read, and, where those say less, verbatim in its payload.
"""
