"""Best configuration: searched knobs with their ranges, and fixed ones."""

from typing import Any

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Heading, Line, Prose, Section, Table, Terms
from analysis.render.wording import NONE, backbone_words, knob_words, setting


def section(data: ReportData) -> Section:
    """What the best trial had, and what every trial had."""
    # Seeds stand in the provenance.
    searched_or_seed, config = {*data.experiment.sweep["space"], "seed", "sweep_seed"}, flat_config(data.config)
    fixed = {knob_words(name): value for name, value in config.items() if name not in searched_or_seed}
    same = (Prose("", "The same in every trial"), Terms(fixed, "settings")) if fixed else ()
    return Section(Heading("configuration", "Best configuration"), (knobs_table(data), *same))


def knobs_table(data: ReportData) -> Table:
    """The searched knobs of the best configuration, and what they were searched in."""
    space, config = data.experiment.sweep["space"], flat_config(data.config)
    rows = []
    for name, knob in space.items():
        if isinstance(knob, list):
            searched = ", ".join(setting(value) for value in knob)
        else:
            steps = f", steps of {setting(knob['step'])}" if knob.get("step") else ""
            searched = (
                f"{setting(knob['low'])} to {setting(knob['high'])}{', logarithmic' if knob.get('log') else steps}"
            )
        rows.append(Line((knob_words(name), config.get(name, NONE), searched)))
    heads = (Head("setting"), Head("best value", "num"), Head("searched in"))
    return Table("knobs", "What was searched", heads, tuple(rows), sticky=False)


def flat_config(config: dict[str, Any]) -> dict[str, str]:
    """A configuration with `augmentation.zoom` for nested knobs, values as text."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= {f"{name}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {name: value}
    return {name: backbone_words(value) if name == "backbone" else setting(value) for name, value in flat.items()}
