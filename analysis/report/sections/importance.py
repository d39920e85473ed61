"""Importance of the knobs (PED-ANOVA), beside what chance would give."""

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState, create_trial

from analysis.data.report_data import ReportData
from analysis.render.knob_axis import varied
from analysis.render.section import Prose, Section
from analysis.render.svg import BLUE, FAINT, INK, Picture, Size, canvas, legend, scale_for
from analysis.render.wording import join_words, knob_words, percent, plural
from analysis.report.sections import SETTINGS

FEWEST = 10  # trials; with fewer, half of them are "the best", and any knob looks important by chance
SHUFFLES = 19  # the highest of 19 shuffles is passed by chance 1 time in 20


class Importances(NamedTuple):
    """Knobs, most important first. `shares` are of 1 and sum to 1.

    `chance` is the share that a knob without any influence would pass 1 time in 20; `top` of `total` trials were
    counted as the best.
    """

    knobs: tuple[str, ...]
    shares: tuple[float, ...]
    chance: tuple[float, ...]
    top: int
    total: int

    @property
    def proven(self) -> tuple[str, ...]:
        """The knobs whose share is above what chance would give."""
        return tuple(
            knob for knob, share, chance in zip(self.knobs, self.shares, self.chance, strict=True) if share > chance
        )


def section(data: ReportData) -> Section:
    """A bar per knob, or why there is none."""
    found = importances(data.frames.trials, data.experiment.sweep["space"], data.mode)
    if found is None:
        what = f"Which setting mattered most is not said of fewer than {FEWEST} trials with a result"
        return Section(SETTINGS, (Prose(f"{what}: with so few, chance decides."),))
    note = (
        "How far each setting decides whether a trial is among the best (PED-ANOVA). A mark shows what a setting "
        f"without any influence would pass 1 time in 20. {describe(found)}"
    )
    picture = Picture("importance", "What mattered most", describe(found), partial(draw, found), note)
    return Section(SETTINGS, (picture,))


def importances(trials: pd.DataFrame, space: Mapping[str, Any], mode: str, seed: int = 0) -> Importances | None:
    """Compute them over all trials with a value, those stopped early included; None where there are too few.

    PED-ANOVA (Watanabe et al. 2023, https://arxiv.org/abs/2304.10255) compares where the best trials lie with where all
    lie. That is a question about order, so trials that were stopped early take part with what they had reached: they
    were stopped because others did better. Scores of regression trees (fANOVA) would take them at their word.
    """
    valued = trials.dropna(subset=["value"]).reset_index(drop=True)
    names = [name for name in varied(valued) if valued[name].notna().all()]
    if len(valued) < FEWEST or not names:
        return None
    losses = valued["value"].to_numpy(float) * (-1.0 if mode == "max" else 1.0)
    quantile = min(0.5, max(0.1, 5 / len(valued)))
    study = _study(valued, names, space)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)

    def measure(losses: np.ndarray) -> np.ndarray:
        """Raw importances [names] where the trials have these losses [trials]."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that `target` is minimised: it is a loss here
            found = evaluator.evaluate(study, names, target=lambda trial: float(losses[trial.number]))
        return np.array([found[name] for name in names])

    found = measure(losses)
    chance = np.random.default_rng(seed)
    shuffled = np.max([measure(chance.permutation(losses)) for _ in range(SHUFFLES)], axis=0)
    order, whole = np.argsort(-found, kind="stable"), found.sum() or 1.0
    return Importances(
        tuple(names[place] for place in order),
        tuple(float(found[place] / whole) for place in order),
        tuple(float(shuffled[place] / whole) for place in order),
        int((losses <= np.quantile(losses, quantile, method="inverted_cdf")).sum()),
        len(valued),
    )


def _study(trials: pd.DataFrame, names: list[str], space: Mapping[str, Any]) -> optuna.Study:
    """The trials as a study in memory, without Optuna's line about it: the report's output is the report."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study()
    finally:
        optuna.logging.set_verbosity(verbosity)
    distributions: dict[str, BaseDistribution] = {}
    for name in names:
        # As the sweep file has it, or else the values that were tried.
        column, knob = trials[name], space.get(name.removeprefix("param_"))
        if not isinstance(knob, Mapping):
            distributions[name] = CategoricalDistribution(tuple(dict.fromkeys([*(knob or ()), *column.tolist()])))
            continue
        low, high, log = min(knob["low"], column.min()), max(knob["high"], column.max()), bool(knob.get("log"))
        whole = pd.api.types.is_integer_dtype(column)
        distributions[name] = (
            IntDistribution(int(low), int(high), log) if whole else FloatDistribution(float(low), float(high), log)
        )
    for values in trials[names].to_dict("records"):
        params: dict[str, Any] = {str(name): value for name, value in values.items()}
        study.add_trial(create_trial(state=TrialState.COMPLETE, value=0.0, params=params, distributions=distributions))
    return study


def describe(data: Importances) -> str:
    """The picture in words."""
    shares = [f"{knob_words(knob)} {percent(share, 0)}" for knob, share in zip(data.knobs, data.shares, strict=True)]
    proven = join_words([knob_words(knob) for knob in data.proven])
    verdict = f"More than chance: {proven}." if proven else "None of them is more than chance would give."
    return f"What set the best {data.top} of {plural(data.total, 'trial')} apart: {join_words(shares)}. {verdict}"


def draw(data: Importances, size: Size) -> Figure:
    """Bars with their shares, and a mark for what chance would reach."""
    figure, (axes,) = canvas(size, 34 * len(data.knobs) + 90)
    rows = np.arange(len(data.knobs))[::-1]
    colours = [BLUE if knob in data.proven else FAINT for knob in data.knobs]
    axes.barh(rows, data.shares, height=0.62, color=colours)
    marks = np.minimum(data.chance, 1.0)
    axes.vlines(marks, rows - 0.4, rows + 0.4, color=INK, linewidth=2, label="1 time in 20 chance alone passes this")
    for row, share, mark in zip(rows, data.shares, marks, strict=True):
        clear = share + 0.012 if not share - 0.01 < mark < share + 0.11 else mark + 0.012
        axes.text(clear, row, percent(share, 0), va="center")
    axes.set_yticks(rows, [knob_words(knob) for knob in data.knobs])
    axes.set_xlim(0, 1.1)
    axes.grid(axis="y", visible=False)
    scale_for(axes, "accuracy", "x")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    legend(figure, axes, size)
    return figure
