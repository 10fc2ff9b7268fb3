"""Runners as the daemon makes and knows them: names, marks, what they need, which there are."""
