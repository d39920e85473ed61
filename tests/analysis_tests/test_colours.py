"""That colour-blind readers can tell the colours of the pictures apart, in light and in dark.

Seen as each kind of dichromat sees them (Machado, Oliveira and Fernandes 2009, severity 1.0: the matrices of
https://www.inf.ufrgs.br/~oliveira/pubs_files/CVD_Simulation/CVD_Simulation.html), the distance is CIE 1976 ΔE: 2.3 is
just noticeable, and dots of some pixels want several times that.
"""

import itertools

import numpy as np
import pytest

from analysis.render.svg import COLOURS

SEEN_BY = {
    "nobody with a deficiency": np.eye(3),
    "protanopes": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopes": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopes": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# Colours that stand for different things within one picture.
TOGETHER = [
    ("blue", "vermilion"),  # trained to its end, stopped early; went on, stopped; no lower, lower; right, wrong
    ("blue", "orange", "purple"),  # training, validation, test; before, after
    ("green", "blue", "vermilion", "faint"),  # best so far, or the front, and the ends of trials
    ("blue", "faint", "ink"),  # the best tenth, the others, the best
    ("green", "muted", "vermilion"),  # better, not told apart, worse
]


def linear(colour):
    share = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def distance(first, second, eyes):
    return float(np.linalg.norm(lab(eyes @ linear(first)) - lab(eyes @ linear(second))))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("eyes", SEEN_BY)
def test_colours_of_one_picture_are_far_apart_for_every_reader(eyes, scheme):
    for names in TOGETHER:
        for first, second in itertools.combinations(names, 2):
            apart = distance(COLOURS[first][scheme], COLOURS[second][scheme], SEEN_BY[eyes])
            assert apart > 12, f"{first} and {second} are {apart:.1f} apart for {eyes}"


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_the_page(scheme):
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5 to 1; 3 to 1 for marks (1.4.11)."""

    def contrast(name):
        light, dark = sorted(
            (float(np.array([0.2126, 0.7152, 0.0722]) @ linear(COLOURS[each][scheme])) for each in (name, "paper")),
            reverse=True,
        )
        return (light + 0.05) / (dark + 0.05)

    assert contrast("ink") > 7
    assert contrast("muted") > 4.5
    assert all(contrast(name) > 2.9 for name in ("blue", "green", "vermilion")), "marks"


def test_a_pair_that_deuteranopes_confuse_would_be_found():
    assert distance("#008000", "#a05000", SEEN_BY["nobody with a deficiency"]) > 40
    assert distance("#00a060", "#d07070", SEEN_BY["deuteranopes"]) < 30
