"""Engine 1: the only part of the package that makes Brian2 objects."""
