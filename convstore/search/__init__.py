"""What is found and how it is shown: words, queries, ranks, snippets. Pure."""
