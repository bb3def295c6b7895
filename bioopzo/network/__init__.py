"""The network: its clock, connections and parts, and every object of it in text."""
