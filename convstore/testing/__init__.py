"""Conformance suites for third parties."""
