"""How other programs read MIME where it is broken: one module a program, one reader for all of them."""
