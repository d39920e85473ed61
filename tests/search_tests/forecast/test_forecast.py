import pytest

from search.config.schema import EarlyStopping, sweep_config
from search.forecast.forecast import Throughput, expected_epochs, forecast, forecast_lines, saved, saved_line
from trainables.config import Augmentation

MEASURED = Throughput(concurrent=2, threads=1, train=500.0, evaluate=1000.0, prefix=100.0, bytes_per_photo=10_000)
PHOTOS = {"train": 1000, "validation": 200}


def test_asha_lets_a_third_go_on_at_every_rung() -> None:
    assert expected_epochs(EarlyStopping(kind="none"), 9, 20) == 9
    # Nearly all trials are judged: all reach epoch 1, a third epoch 3, a ninth epoch 9.
    judged = EarlyStopping(grace_epochs=1, reduction_factor=3, min_results=1)
    assert expected_epochs(judged, 9, 10**6) == pytest.approx(1 + 2 / 3 + 6 / 9, rel=1e-3)
    assert expected_epochs(EarlyStopping(grace_epochs=2), 9, 10**6) == pytest.approx(2 + 4 / 3 + 3 / 9, rel=1e-3)
    assert expected_epochs(EarlyStopping(grace_epochs=20), 9, 20) == 9
    assert expected_epochs(EarlyStopping(grace_epochs=1, reduction_factor=1.01), 4, 20) < 4
    assert expected_epochs(EarlyStopping(kind="median", grace_epochs=1), 9, 20) == 5


def test_the_first_at_a_rung_go_on_unjudged() -> None:
    # Six reach epoch 1; three unjudged and a third of the rest epoch 3; of those four, three and a third epoch 9.
    expected = (6 * 1 + 4 * 2 + (3 + 1 / 3) * 6) / 6
    assert expected_epochs(EarlyStopping(grace_epochs=1, min_results=3), 9, 6) == pytest.approx(expected)
    assert expected_epochs(EarlyStopping(grace_epochs=1, min_results=3), 9, 3) == 9


def test_with_a_sampler_that_learns_more_go_on() -> None:
    rule = EarlyStopping(grace_epochs=1, min_results=1)
    share = 3**-0.6
    expected = 1 + 2 * share + 6 * share**2
    assert expected_epochs(rule, 9, 10**6, learns=True) == pytest.approx(expected, rel=1e-3)
    common = {"name": "s", "dataset": "d", "experiment": "e", "trial": {"epochs": 9}}
    epochs = {
        name: forecast(sweep_config({**common, "sampler": name}), MEASURED, 1, PHOTOS).epochs
        for name in ("tpe", "gp", "random")
    }
    assert epochs["tpe"] == epochs["gp"] > 1.2 * epochs["random"]


def test_a_forecast_adds_filling_once_and_training_in_every_trial() -> None:
    trial = {"image_size": 100, "epochs": 4, "augment_views": 3}
    config = sweep_config(
        {
            "name": "s",
            "dataset": "d",
            "experiment": "e",
            "trials": 10,
            "trial": trial,
            "early_stopping": {"kind": "none"},
        }
    )
    cost = forecast(config, MEASURED, 1, PHOTOS)
    # The probe's pass stores what trials read of the validation photos.
    assert cost.fill_seconds == pytest.approx(3 * 1000 / 100)
    assert cost.train_seconds == pytest.approx(10 * 4 * (1000 / 500 + 200 / 1000))
    assert cost.store_bytes == 3200 * 10_000 + 1200 * 100 * 100 * 3
    assert cost.most_seconds == pytest.approx(cost.seconds)
    two = forecast(config, MEASURED, 2, PHOTOS)
    assert two.train_seconds == pytest.approx(cost.train_seconds / 2)
    assert two.fill_seconds == pytest.approx((3 * 1000 + 200) / 100)
    measured, line = forecast_lines(cost, config, MEASURED)
    assert "2 trials at once with 1 thread each: 500 photos/s" in measured
    # To the 2 minutes: one start, and a probe that starts, passes 1,200 photos once and fits.
    assert cost.probe_seconds == pytest.approx(15 + 1200 / 100 + 2e-6 * 1200**2)
    assert "about 2m43s from here" in line and "30s for the probe, 15s to start" in line
    without = forecast(config.model_copy(update={"probe": False}), MEASURED, 1, PHOTOS)
    assert without.seconds == pytest.approx(120 + 15) and "probe" not in forecast_lines(without, config, MEASURED)[1]
    assert without.fill_seconds == pytest.approx((3 * 1000 + 200) / 100)
    assert "0.07 GB" in line
    plain = trial | {"augmentation": dict.fromkeys(Augmentation.model_fields, 0)}
    once = forecast(sweep_config({**config.model_dump(), "trial": plain}), MEASURED, 1, PHOTOS)
    assert once.fill_seconds == 0 and once.store_bytes == 1200 * 10_000 + 1200 * 100 * 100 * 3


def test_what_was_saved_is_what_reading_spared_computing() -> None:
    first = {"store_rows": 100, "store_filled": 100, "store_filled_bytes": 400, "store_fill_seconds": 10.0}
    later = {"store_rows": 100, "store_filled": 0, "store_filled_bytes": 0, "store_fill_seconds": 0.0}
    use = saved([first, later, later, {}])
    assert (use.rows, use.filled, use.filled_bytes) == (300, 100, 400)
    assert use.seconds == pytest.approx(300 * 0.1 - 10)
    summary = {"epochs_run": 3, "epochs_saved": 6, "store": use.__dict__}
    assert saved_line(summary) == (
        "saved        6 of 9 epochs by early stopping; 300 stored pictures were read and 100 of them computed, "
        "which saved 20s of computing"
    )


def test_a_sweep_that_found_all_in_the_store_claims_no_seconds() -> None:
    use = saved([{"store_rows": 100, "store_filled": 0, "store_filled_bytes": 0, "store_fill_seconds": 0.1}])
    assert use.seconds is None
    assert saved([{"val_macro_f1": 0.5}]).rows == 0
    assert saved_line({"epochs_run": 1, "epochs_saved": 0, "store": saved([]).__dict__}).endswith("by early stopping")
