"""Kills the store on purpose and checks what must be true afterwards."""
