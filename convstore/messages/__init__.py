"""What a chat message is, in every client's shape. Pure."""
