"""The public verbs, grouped by what they act upon."""
