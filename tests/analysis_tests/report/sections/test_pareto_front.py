import numpy as np
import pandas as pd
import pytest

from analysis import side_by_side
from analysis.data.experiment import read
from analysis.data.frames import together
from analysis.data.report_data import report_data
from analysis.render.svg import WIDE
from analysis.report import glossary, report, summary
from analysis.report.report import write_report
from analysis.report.sections import pareto_front
from analysis.report.sections.pareto_front import DRAWN, describe, draw, front, front_table
from analysis.report.summary import front_sentence
from tests.analysis_tests.example import make_example
from tests.analysis_tests.page import Page


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A sweep with macro F1 and model size as objectives."""
    return report_data(
        read(make_example(tmp_path_factory.mktemp("two_objectives"), final=False, cost="model_mb").experiment)
    )


@pytest.fixture(scope="module")
def page(scored):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "SECTIONS", (summary.section, pareto_front.section, glossary.section))
        return Page(write_report(scored.experiment.folder).read_text())


def trials(values, costs, on_it, states=None):
    known = {"trial": range(len(values)), "value": values, "model_mb": costs, "front": on_it}
    return pd.DataFrame(known | {"state": states or ["complete"] * len(values)})


def test_the_members_are_those_that_the_sweep_found_the_cheapest_first():
    data = front(trials([0.5, 0.7, 0.3], [20.0, 30.0, 25.0], [True, True, False]), "val_macro_f1", "model_mb")
    assert data.members[["trial", "model_mb"]].to_numpy().tolist() == [[0, 20.0], [1, 30.0]]
    assert describe(data).endswith(
        "the 2 of the front, the cheapest first: trial 0 50.0\u202f% at 20\u202fMB; trial 1 70.0\u202f% at 30\u202fMB."
    )


def test_a_trial_without_a_result_has_no_place():
    data = front(trials([0.5, None], [20.0, None], [True, False], ["complete", "failed"]), "val_macro_f1", "model_mb")
    assert data.drawn["trial"].tolist() == [0] and data.total == 1


def test_of_many_trials_some_are_drawn_and_the_whole_front():
    values = np.linspace(0.1, 0.2, 5000)
    on_it = [number in (1234, 4321) for number in range(5000)]
    data = front(trials(values, np.linspace(10, 90, 5000), on_it), "val_macro_f1", "model_mb")
    assert len(data.drawn) <= DRAWN + 2 and data.total == 5000
    assert data.members["trial"].tolist() == [1234, 4321]


@pytest.mark.parametrize(("costs", "scale"), [([20.0, 30.0], "linear"), ([0.2, 90.0], "log")])
def test_costs_that_lie_far_apart_are_drawn_on_a_logarithmic_scale(costs, scale):
    figure = draw(front(trials([0.5, 0.7], costs, [True, True]), "val_macro_f1", "model_mb"), WIDE)
    assert figure.axes[0].get_xscale() == scale
    assert figure.axes[0].get_xlabel() == "model size, MB"


def test_the_frame_says_what_each_model_costs_and_who_is_on_the_front(scored):
    table = scored.frames.trials
    good = table.dropna(subset=["value"])
    for row in good.to_dict("records"):
        cheaper = good[(good["model_mb"] <= row["model_mb"]) & (good["trial"] != row["trial"])]
        assert row["front"] == (not (cheaper["value"] >= row["value"]).any())
    assert table.attrs["columns"]["model_mb"]["unit"] == "MB"
    assert not table.loc[table["state"] == "failed", "front"].any()


def test_the_table_and_the_sentence_name_the_front(scored):
    table = front_table(scored)
    members = scored.experiment.front
    assert [int(row.cells[0]) for row in table.rows] == list(members) and len(members) > 1
    assert [row.best for row in table.rows] == [True] + [False] * (len(members) - 1)
    said = front_sentence(scored)
    assert f"from trial {members[0]}" in said and f"to trial {members[-1]}" in said


def test_the_report_has_a_section_on_it_with_the_command_for_another_than_the_best(scored, page):
    assert page.wrong == [] and page.unheard() == []
    text = (scored.experiment.folder / "report" / "index.html").read_text()
    assert 'href="#front"' in text and 'id="figure-front"' in text and "Pareto" in text
    assert str(scored.experiment.front_file(scored.experiment.front[-1])) in text
    assert (scored.experiment.folder / "report" / "figures" / "front.svg").is_file()


@pytest.mark.usefixtures("without_drawing")
def test_nothing_of_it_is_in_the_report_of_one_objective(example_data, tmp_path):
    text = write_report(example_data.experiment.folder, tmp_path / "report").read_text()
    assert "front" not in text.lower().replace("in front of", "")
    assert (
        "front" not in example_data.frames.trials
        and front_table(example_data) is None
        and front_sentence(example_data) == ""
    )
    assert not (tmp_path / "report" / "figures" / "front.svg").exists()


def test_experiments_of_both_kinds_can_be_laid_together(scored, example_data):
    both = together({"one": example_data.frames, "two": scored.frames}).trials
    assert both.loc[both["experiment"] == "one", "model_mb"].isna().all()
    assert both.loc[both["experiment"] == "two", "model_mb"].notna().all()
    board = side_by_side(example_data.experiment.folder, scored.experiment.folder)
    assert board["settings"].nunique() == 2
