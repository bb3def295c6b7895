"""Text: equations and their parts, functions, parameters, typesetting."""
