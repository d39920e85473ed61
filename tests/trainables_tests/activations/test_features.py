from pathlib import Path

import numpy as np
import pytest

from tests.trainables_tests.training_example import SMALL, make_worker
from trainables.activations.features import Features, Prefix, StoredFeatures, StoreUse
from trainables.activations.store import Store
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.network.cut import PIXELS, Cut, block_ends, find_cut
from trainables.network.tail import Tail, TailBackbone
from trainables.training.fine_tune import FineTuning, TrainingSet
from trainables.training.worker import Worker

INCEPTION = TrialConfig(
    weights="random", image_size=75, unfrozen_layers=31, batch_size=16, epochs=2, dense_units=32, augment_views=2
)


@pytest.fixture(scope="module")
def prefix(worker: Worker) -> Prefix:
    return Prefix(worker.base(SMALL), "random", SMALL)


@pytest.fixture(scope="module")
def inception(worker: Worker) -> Prefix:
    return Prefix(worker.base(INCEPTION), "random", INCEPTION)


@pytest.mark.parametrize("view", [None, 0, 3])
@pytest.mark.parametrize("rows", [[0], [5, 1, 30]])
def test_stored_features_are_what_the_prefix_computes(
    worker: Worker, prefix: Prefix, tmp_path: Path, view: int | None, rows: list[int]
) -> None:
    photos = worker.photos("train", SMALL.image_size)
    cut = find_cut(worker.base(SMALL), SMALL.unfrozen_layers).name
    stored = StoredFeatures(prefix, photos, Store(tmp_path / "s", 10**9), cut, [cut])
    direct = Features(prefix, photos, cut)
    for got, expected in zip(stored.batch(np.array(rows), view), direct.batch(np.array(rows), view), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_all_planned_cuts_come_from_one_pass_and_deeper_ones_from_what_is_stored(
    worker: Worker, inception: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = worker.photos("validation", 75)
    prefix, store = inception, Store(tmp_path / "s", 10**9)
    sources: list[str] = []
    run = prefix.run
    monkeypatch.setattr(
        prefix, "run", lambda inputs, source, names: sources.append(source) or run(inputs, source, names)
    )
    StoredFeatures(prefix, photos, store, "mixed8", ["mixed8", "mixed9"]).batch(np.arange(3), 0)
    StoredFeatures(prefix, photos, store, "mixed9", ["mixed9"]).batch(np.arange(3), 0)
    assert sources == [PIXELS]
    pooled = StoredFeatures(prefix, photos, store, "pooled", ["pooled"]).batch(np.arange(3), 0)
    assert sources == [PIXELS, "mixed9"]
    expected = Features(prefix, photos, "pooled").batch(np.arange(3), 0)
    np.testing.assert_allclose(pooled[0], expected[0], atol=1e-5)


PLAIN = {name: type(value)(0) for name, value in INCEPTION.augmentation.model_dump().items()}


def test_where_nothing_is_varied_every_view_is_the_photo_as_it_is(worker: Worker, tmp_path: Path) -> None:
    config = TrialConfig.model_validate({**SMALL.model_dump(), "augmentation": PLAIN})
    photos, prefix = worker.photos("validation", SMALL.image_size), Prefix(worker.base(config), "random", config)
    cut = find_cut(worker.base(config), config.unfrozen_layers).name
    stored = StoredFeatures(prefix, photos, Store(tmp_path / "s", 10**9), cut, [cut])
    rows = np.arange(len(photos))
    for got, direct, expected in zip(
        *(each.batch(rows, view) for each, view in ((stored, 1), (Features(prefix, photos, cut), 1), (stored, None))),
        strict=True,
    ):
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_allclose(direct, expected, atol=1e-5)
    assert len(list((tmp_path / "s").glob("*/key.json"))) == 1


def test_a_probe_and_the_trials_after_it_take_one_pass_of_the_pixels(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make_worker(small_dataset, tmp_path / "s")
    config = INCEPTION.model_copy(update={"head": "depths"})
    passes: list[int] = []
    of_pixels = Prefix.pixels
    monkeypatch.setattr(
        Prefix,
        "pixels",
        lambda self, photos, rows, view: passes.append(len(rows)) or of_pixels(self, photos, rows, view),
    )
    worker.fill(["validation"], config, [0, 31, 62])
    photos = len(worker.photos("validation", 75))
    assert sum(passes) == photos
    worker.pooled("validation", config, block_ends(worker.base(config)))
    for unfrozen, head in ((31, "depths"), (62, "depths"), (0, "depths"), (31, "study")):
        own = config.model_copy(update={"unfrozen_layers": unfrozen, "head": head, "depths": None})
        worker.part("validation", own, [0, 31, 62]).features.batch(np.arange(2), None)
    assert sum(passes) == photos


def test_what_does_not_fit_is_left_to_the_trials(small_dataset: Dataset, tmp_path: Path) -> None:
    worker = make_worker(small_dataset, tmp_path / "s", store_bytes=1_500_000)
    worker.fill(["validation"], INCEPTION, [31, 240])
    assert worker.store_use.filled == 0


# A backbone of fifty thin layers with random weights makes much of each rounding; InceptionV3 differs by 1 %.
@pytest.mark.parametrize(("change", "within"), [({"store_dtype": "float16"}, 1e-3), ({"precision": "bfloat16"}, 0.4)])
def test_lower_precision_is_stored_apart_and_near(
    worker: Worker, tmp_path: Path, change: dict[str, str], within: float
) -> None:
    photos, base, store = worker.photos("train", SMALL.image_size), worker.base(SMALL), Store(tmp_path / "s", 10**9)
    cut = find_cut(base, SMALL.unfrozen_layers).name
    uses = StoreUse(), StoreUse()
    exact, near = (
        StoredFeatures(Prefix(base, "random", config), photos, store, cut, [cut], use)
        for config, use in zip((SMALL, SMALL.model_copy(update=change)), uses, strict=True)
    )
    expected, got = exact.batch(np.arange(30), 0)[0], near.batch(np.arange(30), 0)[0]
    assert len(list((tmp_path / "s").glob("*/key.json"))) == 2
    assert got.dtype == np.float32
    assert 0 < np.abs(got - expected).mean() < within * np.abs(expected).mean()
    assert 0 < uses[1].filled_bytes == uses[0].filled_bytes // (2 if "store_dtype" in change else 1)


def test_a_run_counts_what_it_read_and_what_it_computed(small_dataset: Dataset, tmp_path: Path) -> None:
    worker = make_worker(small_dataset, tmp_path)
    photos = len(worker.photos("train", SMALL.image_size)) + len(worker.photos("validation", SMALL.image_size))
    uses = []
    for _ in range(2):
        worker.start(SMALL).run_epoch()
        uses.append(worker.store_use.take())
    assert [(use.rows, use.filled) for use in uses] == [(photos, photos), (photos, 0)]
    assert uses[0].filled_bytes > 0
    assert uses[0].fill_seconds > uses[1].fill_seconds


def test_without_room_in_the_store_training_goes_on_and_says_why(
    worker: Worker, small_dataset: Dataset, tmp_path: Path
) -> None:
    expected = worker.start(SMALL).run_epoch()
    photos = len(small_dataset.photos("train")) + len(small_dataset.photos("validation"))
    tight = make_worker(small_dataset, tmp_path, store_bytes=photos * 32 * 32 * 3 + 2000)
    got = tight.start(SMALL).run_epoch()
    assert worker.fallback() is None
    assert "store" in (tight.fallback() or "")
    assert got["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
    assert got["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-5)


def test_training_the_tail_on_stored_activations_equals_training_the_whole_model(
    worker: Worker, inception: Prefix, tmp_path: Path
) -> None:
    """The product's central promise: losses within 1e-4 relative, weights within 1e-4 absolute, after two epochs."""
    base, prefix = worker.base(INCEPTION), inception
    cut = find_cut(base, INCEPTION.unfrozen_layers)
    train, validation = (worker.photos(split, 75) for split in ("train", "validation"))
    whole_cut = Cut(PIXELS, cut.trainable)
    runs = []
    for this, features in (
        (cut, lambda photos: StoredFeatures(prefix, photos, Store(tmp_path / "s", 10**9), cut.name, [cut.name])),
        (whole_cut, lambda photos: Features(prefix, photos, PIXELS)),
    ):
        tail = Tail(TailBackbone(base, this, worker.classes, "sgd"), INCEPTION.dense_units)
        parts = [TrainingSet(features(photos), photos.labels) for photos in (train, validation)]
        run = FineTuning(
            tail, parts[:1], parts[1], INCEPTION.model_copy(update={"learning_rate": 0.01}), worker.classes
        )
        runs.append(([run.run_epoch(), run.run_epoch()], tail.weights()))
    (stored, stored_weights), (whole, whole_weights) = runs
    for ours, reference in zip(stored, whole, strict=True):
        for name in ("train_loss", "val_loss", "train_cross_entropy", "val_cross_entropy"):
            assert ours[name] == pytest.approx(reference[name], rel=1e-4)
    for name, weights in stored_weights.items():
        np.testing.assert_allclose(weights, whole_weights[name], atol=1e-4)
