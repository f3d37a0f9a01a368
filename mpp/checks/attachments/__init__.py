"""What attachments are, by content: types, names, archives opened to a depth, active content."""
