"""How things are written: moments, sizes, and others' words, so that they do no harm."""
