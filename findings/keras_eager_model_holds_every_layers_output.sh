#!/usr/bin/env bash
# A functional Keras model that is called eagerly holds every layer's output until the call ends: several times the memory.
#
# Version        keras 3.15.1 with tensorflow 2.21.0 and numpy 2.4.6, Python 3.11 on Linux, CPU. Needs a package index.
# Expected guess `model(pictures, training=False)` computes layer after layer, and frees an output when the layers that
#                read it are done: without a gradient tape nothing else can need it. The same call inside `tf.function`
#                is faster and takes about the same memory.
# Behaviour      The eager call keeps a table of all outputs until it returns; the compiled one frees them as it goes.
#                For 16 pictures of 299 pixels through InceptionV3 without top the process grows by some 2.1 GB eagerly
#                and by some 0.3 GB compiled; both grow with the batch. `model.predict` compiles, and
#                `model.predict(run_eagerly=True)` is not the default, so that only direct calls meet it.
# Remedy         Wrap the call in `tf.function` with an input signature that leaves the batch open.
#
# Output seen:
#   eager      2.13 GB
#   compiled   0.27 GB
#   ratio above 2.5: True
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment || exit 2
environment/bin/pip install --quiet --disable-pip-version-check keras==3.15.1 tensorflow==2.21.0 numpy==2.4.6 || exit 2

cat > grow.py <<'PYTHON'
import resource
import sys

import keras
import numpy as np
import tensorflow as tf

model = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg")
pictures = np.random.default_rng(0).uniform(-1, 1, (16, 299, 299, 3)).astype(np.float32)


@tf.function(input_signature=[tf.TensorSpec((None, 299, 299, 3))])
def compiled(values):
    return model(values, training=False)


def eager(values):
    return model(values, training=False)


call = {"eager": eager, "compiled": compiled}[sys.argv[1]]
call(pictures[:1])  # What libraries load and what tracing takes is not counted.
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
call(pictures)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
PYTHON

export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1
eager=$(environment/bin/python grow.py eager 2> /dev/null) || exit 2
compiled=$(environment/bin/python grow.py compiled 2> /dev/null) || exit 2
environment/bin/python - "$eager" "$compiled" <<'PYTHON'
import sys

eager, compiled = (int(text) for text in sys.argv[1:])
print(f"eager      {eager / 1e9:.2f} GB")
print(f"compiled   {compiled / 1e9:.2f} GB")
print(f"ratio above 2.5: {eager > 2.5 * compiled}")
sys.exit(0 if eager > 2.5 * compiled else 1)
PYTHON
