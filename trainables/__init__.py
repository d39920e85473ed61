"""Train one configuration: data pipeline, backbones, fine-tuning, the final stage, prediction."""

import os

# TensorFlow reads these when it is first imported and first computes, which happens in several modules. Its chatter
# would bury our lines; and without growth each process takes all memory of a GPU (see device.py, which sets it too).
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
