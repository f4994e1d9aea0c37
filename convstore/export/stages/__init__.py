"""The stages of an export: read, gather, settle, write, finish."""
