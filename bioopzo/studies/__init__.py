"""Tables of results, figures and notebooks, each made by one command."""
