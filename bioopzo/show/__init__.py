"""What a notebook sees: models, runs and differences as HTML; exports."""
