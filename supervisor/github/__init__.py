"""What is said to GitHub and what its answers mean: no network, no threads, only plain data."""
