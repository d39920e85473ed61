"""Glossary: the terms of the report, in plain words."""

from analysis.data.report_data import ReportData
from analysis.render.section import Heading, Section, Terms

TERMS = {
    "Trial": "One configuration of settings, trained for up to the sweep's number of epochs.",
    "Epoch": "One pass of the training over all training photos.",
    "Family": "The class that a photo belongs to and that the model is to name.",
    "Training, validation and test photos": "Three separate sets. The model learns from the first, settings are chosen "
    "by the second, and the third is looked at once, by the final model.",
    "Accuracy": "The share of photos that are named correctly. Large families count most.",
    "F1": "How well one family is known, from 0 to 100 %: high only if most of its photos are found (recall) and most "
    "photos given its name are right (precision).",
    "Macro F1": "The mean of all families' F1. A family with 10 photos counts as much as one with 600.",
    "Cross-entropy": "How surprised the model is by the right answers; lower is better. The loss adds a penalty on "
    "large weights (L2).",
    "Learning rate": "How large the steps are by which training changes the model.",
    "Dropout": "The share of the last layers' signals that is switched off at random while training, against learning "
    "photos by heart.",
    "Dense units": "The size of the layer between the backbone and the answer.",
    "Unfrozen layers": "How many of the backbone's last layers were trained; the others stay as they were.",
    "Backbone": "The large network, trained beforehand on millions of other photos, that turns a photo into numbers.",
    "Rung, ASHA": "At certain epochs, the rungs, ASHA (asynchronous successive halving) compares the trials that have "
    "come that far and stops those that are not among the best.",
    "What mattered most (PED-ANOVA)": "How differently the best trials and all trials are spread over a setting. "
    "Shares sum to 100 %; what stays below the mark may be chance.",
    "Early stopping": "A trial that stops improving ends by itself.",
    "Oversampling": "Varied copies of the training photos of weak families are added, and the model is trained again.",
    "95 % interval": "Where the score would lie 95 times in 100 if other test photos of the same families had been "
    "taken. Of a share, Wilson's; of macro F1, found by drawing the test photos again and again (bootstrap), with four "
    "imaginary ones among them, because a few photos without a mistake do not prove that there is none.",
    "Calibration": "Whether photos that the model is 80 % sure of are right 80 % of the time.",
    "Fingerprint": "A checksum of all photos and of the split: equal only if the data are the same.",
}


def section(data: ReportData) -> Section:
    """All terms; the front only where there is one."""
    front = (
        "The trials that no other beats: whatever is as good as one of them costs more. Which to take depends on how "
        "much the cost matters to you."
    )
    probe = (
        "The best linear classifier on what the backbone sees without any training, found before the first trial: "
        "what fine-tuning has to beat to be worth its time."
    )
    terms = TERMS | ({"Front (Pareto front)": front} if data.experiment.cost else {})
    terms |= {"Probe": probe} if data.experiment.probe else {}
    return Section(Heading("terms", "Terms"), (Terms(terms, "terms"),))
