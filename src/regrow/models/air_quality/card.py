"""What the model card of air-quality says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To study how the hourly benzene concentration of street air can be estimated from cheap "
        "gas sensors and neighbouring analysers, and how such an estimate ages. Published is the "
        "first variant of the settings: all-sensors, which recovers the formula that benzene was "
        "computed by, or without-s2, the harder and more useful task."
    ),
    out_of_scope=(
        "Public warnings, checks of legal limits, and medical advice. Other devices, other towns "
        "and later years without a training on their own reference readings: nothing here was "
        "tested on them."
    ),
    data=(
        "9,357 hourly readings of one gas multisensor device and the reference analysers beside "
        "it in one Italian town, March 2004 to April 2005. Missing values are written -200: 366 "
        "hours lack the device's sensors and benzene together, NMHC(GT) lacks nine tenths. "
        "Benzene is a function of the sensor PT08.S2(NMHC), up to its rounding to 0.1 µg/m³."
    ),
    evaluation=(
        "The hours are split by time: the last ones are tested on, the last of the training hours "
        "choose the seed that is published. The mean over all seeds is compared with the training "
        "mean, linear regression, gradient boosting, a random forest and, where PT08.S2 is an "
        "input, isotonic regression on it, all fitted on the same training hours."
    ),
    limits=(
        "One device, one town and little more than one year: every season was seen about once. "
        "The sensors drift, so figures on hours right after the training data say little about "
        "hours a year later; regrow's drift warnings show when inputs leave the range of the "
        "training data."
    ),
    ethics=(
        "The data describes air and no persons. An estimate that is too low makes a street look "
        "cleaner than it is, so it must not take the place of a certified analyser where people's "
        "health depends on it."
    ),
    command="regrow predict air-quality AirQualityUCI.csv -o predictions.parquet",
    pipeline_tag="tabular-regression",
    tags=("air-quality", "sensors", "tabular"),
)
