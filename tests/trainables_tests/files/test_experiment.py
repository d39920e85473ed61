"""trainables/files/experiment.py: where a final stage lies for its hand-off."""

from pathlib import Path

from trainables.files.experiment import final_folder, front_file


def test_the_final_stage_of_one_of_the_front_stands_beside_that_of_the_best(tmp_path: Path) -> None:
    assert final_folder(tmp_path / "best.json") == tmp_path / "final"
    file = front_file(tmp_path, 7)
    assert file == tmp_path / "pareto" / "trial_0007.json"
    assert final_folder(file) == tmp_path / "final_trial_0007"
