"""A Django shop whose orders and chat messages come with one commit."""
