"""Engine 2: the same text on mini-batches, as arrays of shape (batch, neurons)."""
