"""What is wrong with the text of a model, said before anything runs."""
