"""The archive under load: the conversations, convstore's stages, and its peers."""
