"""Fine-tuning of one configuration: worker, metrics, checkpoints."""
