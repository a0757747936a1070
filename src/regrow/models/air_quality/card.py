"""What the model card of air-quality says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To study how the hourly benzene concentration in street air can be estimated from "
        "low-cost gas sensors and nearby analysers, and how such an estimate ages. The first "
        "variant in the settings is published: all-sensors, which recovers the formula from "
        "which benzene was computed, or without-s2, the harder and more useful task."
    ),
    out_of_scope=(
        "Public warnings, checks of legal limits, and medical advice. Other devices, towns and "
        "later years require training on their own reference readings: the model was not tested "
        "on them."
    ),
    data=(
        "9,357 hourly readings of one gas multisensor device and co-located reference analysers "
        "in an Italian town, March 2004 to April 2005. Missing values are coded as -200: in 366 "
        "hours both the device's sensors and benzene are missing, and NMHC(GT) is missing in 90 "
        "% of the hours. Apart from rounding to 0.1 µg/m³, benzene is a function of the sensor "
        "PT08.S2(NMHC)."
    ),
    evaluation=(
        "The hours are split by time: the last hours are the test data, and the last of the "
        "training hours are used to choose the published seed. The mean over all seeds is "
        "compared with the training mean, linear regression, gradient boosting, a random forest "
        "and, if PT08.S2 is an input, isotonic regression on it, all fitted on the same training "
        "hours."
    ),
    limits=(
        "The data covers one device, one town and little more than one year, so that every "
        "season occurs about once. The sensors drift, so results for hours right after the "
        "training data say little about hours a year later; regrow's drift warnings show when "
        "inputs leave the range of the training data."
    ),
    ethics=(
        "The data contains no personal information. An estimate that is too low makes a street "
        "look cleaner than it is, so it must not replace a certified analyser where people's "
        "health depends on it."
    ),
    command="regrow predict air-quality AirQualityUCI.csv -o predictions.parquet",
    pipeline_tag="tabular-regression",
    tags=("air-quality", "sensors", "tabular"),
)
