"""Say what happened: data frames, plots, the report."""
