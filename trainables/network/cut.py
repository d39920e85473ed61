"""Cut of a backbone into a frozen prefix and a trainable tail.

Everything that has no trainable layer above it is the same function of the photo in every trial: it is computed once
for all of them. The cut lies behind the last such layer; where several tensors would cross there, and the nearest
single tensor before them is smaller in bytes, the cut moves up to it and the few frozen layers between are computed
again in the tail.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

PIXELS = "pixels"
POOLED = "pooled"
_POOLED_AT = "pooled-"  # and an operation's name
MOST_DEPTHS = 11  # InceptionV3's mixed0 to mixed10


@dataclass(frozen=True)
class Cut:
    """Where a backbone is cut.

    `name` says what the tail starts from: "pixels" (nothing is frozen), "pooled" (all of the backbone is frozen, the
    stored features are the global averages), else the names of the layers whose outputs cross, joined by "+"; a name
    that `pooled_at` made stands for that layer's global averages.
    `trainable` are the names of the layers that train. `depths` are the operations whose global averages the head
    reads, empty for the last output alone; those that nothing trainable leads to cross the cut as averages. Two counts
    of unfrozen layers with equal cuts are one configuration.
    """

    name: str
    trainable: tuple[str, ...]
    depths: tuple[str, ...] = ()

    @property
    def parts(self) -> list[str]:
        """The names in `name`."""
        return self.name.split("+")

    @property
    def moving(self) -> tuple[str, ...]:
        """Those of `depths` that the tail computes."""
        return tuple(name for name in self.depths if pooled_at(name) not in self.parts)


def find_cut(base: Any, unfrozen_layers: int, batch_norm: bool = False, depths: Sequence[str] = ()) -> Cut:
    """Find the cut for "the last `unfrozen_layers` Keras layers train, except BatchNorm".

    Args:
        base: a functional Keras model with one output.
        unfrozen_layers: counted from the end of `base.layers`; more than there are means all.
        batch_norm: whether BatchNorm trains too, its moving statistics included.
        depths: the operations whose global averages the head reads; layers behind the last of them are not counted.
    """
    # Operations, not layers: ConvNeXt adds its residuals with a bare `+`, which is no Keras layer.
    operations = list(base.operations)
    if depths:
        needed = _ancestors([operation for operation in operations if operation.name in depths])
        operations = [operation for operation in operations if operation.name in needed]
    names = {operation.name for operation in operations}
    layers = [layer for layer in base.layers if layer.name in names]
    last = layers[max(len(layers) - unfrozen_layers, 0) :]
    trainable = tuple(layer.name for layer in last if layer.weights and (batch_norm or not is_batch_norm(layer)))
    if not trainable:
        return Cut("+".join(map(pooled_at, depths)) or POOLED, (), tuple(depths))
    moving, read = set(trainable), set()
    for operation in operations:  # In topological order.
        parents = {parent.name for parent in _parents(operation)}
        if operation.name in moving or parents & moving:
            moving.add(operation.name)
            read |= parents
    # The fixed operations whose output a moving one reads.
    frontier = [operation for operation in operations if operation.name in read - moving]
    if len(frontier) > 1:
        # The last operation that every path from the input to a frontier tensor goes through; at worst the input.
        inside = {operation.name for operation in operations[: operations.index(frontier[0]) + 1]}
        waist = next((waist for waist in waists(operations) if waist.name in inside), operations[0])
        if _elements(waist) <= sum(_elements(operation) for operation in frontier):
            frontier = [waist]
    if not _any_weights_above(frontier):
        return Cut(PIXELS, trainable, tuple(depths))
    still = [pooled_at(name) for name in depths if name not in moving]
    return Cut("+".join([*(operation.name for operation in frontier), *still]), trainable, tuple(depths))


def tensors_at(base: Any, cut_name: str) -> list[Any]:
    """The Keras tensors that cross the cut, in the order of its name."""
    import keras

    if cut_name == PIXELS:
        return list(base.inputs)
    outputs = {operation.name: operation.output for operation in base.operations}
    outputs |= {pooled_at(name): tensor for name, tensor in outputs.items()} | {POOLED: base.output}
    return [
        keras.layers.GlobalAveragePooling2D()(outputs[name]) if is_pooled(name) else outputs[name]
        for name in cut_name.split("+")
    ]


def pooled_at(operation: str) -> str:
    """Name the global averages of an operation's output, in a cut and in the store."""
    return f"{_POOLED_AT}{operation}"


def is_pooled(name: str) -> bool:
    """Whether a name of a cut stands for global averages."""
    return name == POOLED or name.startswith(_POOLED_AT)


def block_ends(base: Any) -> tuple[str, ...]:
    """The operations that end the backbone's blocks, from the input to the last: where a head may take features.

    They are those that merge branches and that all paths go through (poolings where none does), and the last
    operation; of more than `MOST_DEPTHS` every so many, counted from the end.
    """
    through = [*waists(list(base.operations))][::-1]
    kinds = [type(operation).__name__ for operation in through]
    ending = ("Add", "Concatenate") if {"Add", "Concatenate"} & set(kinds) else ("MaxPooling2D",)
    names = [operation.name for operation, kind in zip(through[:-1], kinds, strict=False) if kind in ending]
    names.append(through[-1].name)
    every = math.ceil(len(names) / MOST_DEPTHS)
    return tuple(names[::-1][::every][::-1])


def tail_part(base: Any, cut: Cut) -> Any | None:
    """The base's own layers from the tensors that cross the cut, averages left out, to the backbone's features.

    Those are its output or, with depths, a list of the outputs at `cut.moving`. None where nothing is left to compute.
    """
    import keras

    crossing = [name for name in cut.parts if not is_pooled(name)]
    if not crossing:
        return None
    inputs = tensors_at(base, "+".join(crossing))
    outputs = {operation.name: operation.output for operation in base.operations}
    features = [outputs[name] for name in cut.moving] if cut.depths else base.output
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], features)


def clone_tail(base: Any, cut: Cut, precision: str = "float32") -> Any | None:
    """A copy of `tail_part`, None where there is none.

    Its layers are copies with the base's weights, trainable as the cut says: training them leaves the base, which other
    trials' prefixes need, as it is. `precision` is what it computes in (see `fast_layers.copy_part`); its input is
    float32.
    """
    from trainables.network.fast_layers import copy_part

    part = tail_part(base, cut)
    if part is None:
        return None
    tail = copy_part(part, precision)
    for layer in tail.layers:
        layer.trainable = layer.name in cut.trainable
    return tail


def waists(operations: list[Any]) -> Iterator[Any]:
    """Of operations in topological order, those that every path from the input to the last goes through; last first."""
    read: set[str] = set()  # By the operations seen so far, from those that are still to come.
    for operation in reversed(operations):
        if read <= {operation.name}:
            yield operation
        read.discard(operation.name)
        read |= {parent.name for parent in _parents(operation)}


def is_batch_norm(layer: Any) -> bool:
    """Whether a Keras layer is a batch normalisation."""
    import keras

    return isinstance(layer, keras.layers.BatchNormalization)


def _any_weights_above(frontier: list[Any]) -> bool:
    """Whether the prefix has anything to compute that is worth storing: scaling and padding are not."""
    return any(getattr(operation, "weights", []) for operation in _ancestors(frontier).values())


def _ancestors(operations: Sequence[Any]) -> dict[str, Any]:
    """The operations that lead to these, by name, themselves included."""
    above, seen = list(operations), {}
    while above:
        operation = above.pop()
        if operation.name not in seen:
            seen[operation.name] = operation
            above += _parents(operation)
    return seen


def _parents(operation: Any) -> list[Any]:
    return [tensor._keras_history.operation for node in operation._inbound_nodes[:1] for tensor in node.input_tensors]


def _elements(operation: Any) -> int:
    return math.prod(operation.output.shape[1:])
