"""How the daemon and its fleet are: judged, in a word and in full, and what to do about it."""
