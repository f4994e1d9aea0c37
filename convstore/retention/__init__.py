"""The order in which things may be destroyed: plan, run, purge, recover."""
