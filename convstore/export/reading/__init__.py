"""From a session document to what rules see: a tree, its feedback, what takes part."""
