"""Train one configuration: data pipeline, backbones, fine-tuning, the final stage, prediction."""

import os

# TensorFlow reads this when it is first imported, which happens in several modules; its chatter would bury our lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
