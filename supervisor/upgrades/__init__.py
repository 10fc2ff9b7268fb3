"""What is kept current, and how: decisions, of plain data."""
