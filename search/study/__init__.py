"""The Optuna study, the one record of a sweep's trials."""
