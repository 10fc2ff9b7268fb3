"""How often, how fast and how soon again: decided here of all that is tried or asked for."""
