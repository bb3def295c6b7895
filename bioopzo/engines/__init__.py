"""The two engines that run a text: Brian2, one trial at a time, and mini-batches of rates."""
