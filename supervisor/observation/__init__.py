"""What is told of what happens, and who hears it: the feed, the log, the traces."""
