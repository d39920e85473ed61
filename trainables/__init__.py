"""Train one configuration: data pipeline, backbones, fine-tuning, the final stage, prediction."""
