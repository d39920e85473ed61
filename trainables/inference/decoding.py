"""Decoding and resizing of photos by TensorFlow, for a SavedModel that takes files as they are."""

from typing import Any

from trainables.data.pictures.kinds import kind_of

KINDS = ("JPEG", "PNG", "GIF", "BMP")
"""What it reads. It does not turn a photo as its EXIF says, and takes the upper 8 bits of deeper samples."""


def is_decodable(image: bytes) -> bool:
    """Whether TensorFlow reads such a file."""
    return kind_of(image) in KINDS


def decoding(model: Any, size: int) -> Any:
    """The function of files' bytes, string [n], that gives the probabilities of `model` for their photos.

    As close to `data.images.decode_resized` as TensorFlow comes: JPEG by the exact transform, transparency over white,
    bilinear with antialias, rounded to whole grey levels.
    """
    import tensorflow as tf

    def over_white(image: Any) -> Any:
        samples = tf.cast(tf.io.decode_png(image, channels=4), tf.float32)
        share = samples[..., 3:] / 255
        return samples[..., :3] * share + 255 * (1 - share)

    def pixels(image: Any) -> Any:
        def of_jpeg() -> Any:
            return tf.cast(tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE"), tf.float32)

        def of_other() -> Any:
            return tf.cast(tf.io.decode_image(image, channels=3, expand_animations=False), tf.float32)

        is_png = tf.equal(tf.strings.substr(image, 0, 4), b"\x89PNG")
        shown = tf.case([(tf.io.is_jpeg(image), of_jpeg), (is_png, lambda: over_white(image))], default=of_other)
        square = tf.image.resize(tf.ensure_shape(shown, (None, None, 3)), (size, size), antialias=True)
        return tf.clip_by_value(tf.round(square), 0, 255)

    def probabilities(image_bytes: Any) -> Any:
        photos = tf.map_fn(pixels, image_bytes, fn_output_signature=tf.TensorSpec((size, size, 3), tf.float32))
        return model(photos, training=False)

    return tf.function(probabilities, input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
