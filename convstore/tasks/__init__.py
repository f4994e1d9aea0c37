"""What a worker does, and when: retention, verification, upkeep."""
