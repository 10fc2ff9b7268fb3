"""Brings what is told to the disk: the journal's inbox, its writer, and what that is made of."""
