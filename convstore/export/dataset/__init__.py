"""A data set on disk: its folder, files, card, figures and manifest."""
