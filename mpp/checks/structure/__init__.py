"""What the structure of a message says by itself: that programs see different things in it."""
