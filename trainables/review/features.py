"""Pooled features of photos from a pretrained backbone, batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageUnreadable, decode_resized
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.network.backbones import Weights, build_backbone, calibrate_batch_norm, scale_pixels

BACKBONE = "inception_v3"
_BATCH = 32
_CALIBRATION = 64  # photos

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


def pooled_features(
    root: Path,
    sources: Sequence[str],
    image_size: int,
    weights: Weights,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Floats:
    """Features of the photos root/source behind the backbone's last layer, averaged over the picture.

    Args:
        image_size: pixels of the square that a photo is resized to.
        progress: called after each batch with how many photos are done.

    Returns:
        float32 [n, 2048], none negative.

    Raises:
        UserError: the weights do not fit, the size is too small, or a photo no longer decodes.
    """
    from trainables.device import prepare_tensorflow

    tf = prepare_tensorflow()
    base = build_backbone(BACKBONE, image_size, weights, seed)
    if weights.kind == "random":
        some = sources[:: max(1, len(sources) // _CALIBRATION)][:_CALIBRATION]
        chosen = np.concatenate(list(_batches(root, some, image_size)))
        calibrate_batch_norm(base, scale_pixels(BACKBONE, chosen), seed)

    @tf.function(reduce_retracing=True)
    def pooled(pixels: Any) -> Any:
        return tf.reduce_mean(base(scale_pixels(BACKBONE, pixels), training=False), axis=(1, 2))

    rows = np.empty((len(sources), base.output_shape[-1]), dtype=np.float32)
    done = 0
    for pixels in _batches(root, sources, image_size):
        rows[done : done + len(pixels)] = pooled(pixels).numpy()
        done += len(pixels)
        progress(done)
    return rows


def _batches(root: Path, sources: Sequence[str], size: int) -> Iterator[Pixels]:
    """Decoded photos, uint8 [batch, size, size, 3]; the next batch is decoded while the caller works on this one."""

    def decoded(source: str) -> Pixels:
        try:
            return decode_resized((root / source).read_bytes(), size)
        except (OSError, ImageUnreadable) as error:
            raise UserError(f"{root / source} changed while it was reviewed: {error}; run again") from None

    with ThreadPoolExecutor(usable_cores()) as pool:
        # Not one map over all photos: that would decode the whole set ahead of the backbone, into memory.
        ahead: list[Any] = []
        for start in range(0, len(sources), _BATCH):
            coming = [pool.submit(decoded, source) for source in sources[start : start + _BATCH]]
            if ahead:
                yield np.stack([one.result() for one in ahead])
            ahead = coming
        if ahead:
            yield np.stack([one.result() for one in ahead])
