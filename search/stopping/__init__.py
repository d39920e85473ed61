"""When a trial or a sweep stops: early stopping and budgets."""
