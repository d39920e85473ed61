#!/usr/bin/env bash
# Keras' ONNX export turns the mean and variance of a Normalization layer into inputs that must be fed, without a word.
#
# Version        keras 3.15.1 with tensorflow 2.21.0, tf2onnx 1.17.0, onnx 1.23.2, onnxruntime 1.32.0 and numpy 2.4.6,
#                Python 3.11 on Linux. Needs a package index.
# Expected guess A Normalization layer holds fixed numbers, so that the file of `model.export(file, format="onnx")`
#                takes what the model takes and gives what it gives.
# Behaviour      The file has three inputs for the model's one. onnx.checker passes it, onnxruntime loads it, and the
#                first run fails: required inputs are missing. So it is with a mean and variance that were given, with
#                those of `adapt`, and with EfficientNetV2B0 as it comes, which begins with such a layer. Nothing is
#                raised or logged about it. The layer computes with plain tensors, not with its weights; tracing
#                captures these as arguments of the graph, and the conversion freezes weights only.
# Remedy         Before the export, put Rescaling(1 / deviation, -mean / deviation) in the layer's place.
#
# Output seen:
#   Rescaling: inputs: 1, run: right
#   Normalization with a given mean: inputs: 3, run: Required inputs
#   Normalization after adapt: inputs: 3, run: Required inputs
#   EfficientNetV2B0: inputs: 3, run: Required inputs
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment || exit 2
environment/bin/pip install --quiet --disable-pip-version-check keras==3.15.1 tensorflow==2.21.0 tf2onnx==1.17.0 \
    onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 || exit 2

cat > convert.py <<'PYTHON'
import sys

import keras
import numpy as np
import onnx
import onnxruntime

SHAPE = (64, 64, 3)
PICTURES = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype(np.float32)


def after(layer):
    return keras.Sequential([keras.Input(SHAPE), layer, keras.layers.Flatten()])


def adapted():
    layer = keras.layers.Normalization()
    layer.adapt(PICTURES)
    return layer


def tried(model):
    """The number of inputs of the model's file, and what becomes of it when pictures go in."""
    wanted = model(PICTURES)  # Keras exports no model that was never called.
    model.export("model.onnx", format="onnx", verbose=False)
    onnx.checker.check_model(onnx.load("model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession("model.onnx")
    inputs = session.get_inputs()
    try:
        given = session.run(None, {inputs[0].name: PICTURES})[0]
    except ValueError as error:
        return len(inputs), str(error).split(" (")[0]
    return len(inputs), "right" if np.allclose(given, wanted, atol=1e-3) else "wrong values"


models = {
    "Rescaling": after(keras.layers.Rescaling([1 / 64] * 3, [-2.0] * 3)),
    "Normalization with a given mean": after(keras.layers.Normalization(mean=[128.0] * 3, variance=[64.0**2] * 3)),
    "Normalization after adapt": after(adapted()),
    "EfficientNetV2B0": keras.applications.EfficientNetV2B0(weights=None, input_shape=SHAPE, classes=5),
}
seen = []
for name, model in models.items():
    try:
        seen.append(tried(model))
    except Exception as changed:  # Export, checker and runtime have error classes of their own.
        sys.exit(f"changed: {name}: {type(changed).__name__}: {changed}")  # exit status 1
    print(f"{name}: inputs: {seen[-1][0]}, run: {seen[-1][1]}", flush=True)
sys.exit(0 if seen == [(1, "right")] + [(3, "Required inputs")] * 3 else 1)
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 environment/bin/python convert.py 2> log || { status=$?; tail log >&2; exit "$status"; }
