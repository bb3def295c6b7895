"""Training: runs, comparisons, and the search for learning rates."""
