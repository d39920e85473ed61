"""Whether one experiment's final model is better than another's."""
