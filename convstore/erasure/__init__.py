"""What must not be kept is destroyed everywhere, and a receipt says so."""
