"""How fast convstore is beside its peers, the bare drivers and a prototype.

    python -m benchmarks [NAME...] [--postgres URL] [--quick]

Benchmarks, not tests: figures are ratios within one run on one machine.
"""
