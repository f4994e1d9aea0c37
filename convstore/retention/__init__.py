"""The order in which things may be destroyed, and the only folder that destroys."""
