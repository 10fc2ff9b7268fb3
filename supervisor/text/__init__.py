"""How things are written: moments, durations, sizes, and others' words, so that they do no harm."""
