"""What must hold of the clean table of air-quality."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.models.air_quality.columns import COLUMNS, TARGET, TIMESTAMP
from regrow.models.air_quality.data import ANALYSERS, SENSORS


def _between(column: str, low: float, high: float, why: str) -> Expectation:
    return expect("column_values_to_be_between", why, column=column, min_value=low, max_value=high)


EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training selects columns by name",
        column_list=[TIMESTAMP, *COLUMNS.values()],
    ),
    expect(
        "table_row_count_to_be_between",
        "fewer than six weeks of hours are not enough for seasons and a test split",
        min_value=1000,
    ),
    expect("column_values_to_not_be_null", "every reading has a timestamp", column=TIMESTAMP),
    expect(
        "column_values_to_be_unique",
        "a duplicate hour could be in both the training and the test split",
        column=TIMESTAMP,
    ),
    expect(
        "column_values_to_not_be_null",
        "without benzene values, training and testing are not possible",
        column=TARGET,
        mostly=0.8,
    ),
    *(
        expect(
            "column_values_to_not_be_null",
            "the device's sensors fail together, in about 4 % of the hours",
            column=name,
            mostly=0.8,
        )
        for name in SENSORS
    ),
    *(
        expect(
            "column_values_to_not_be_null",
            "values of the reference analysers are missing in up to a fifth of the hours",
            column=name,
            mostly=0.5,
        )
        for name in ANALYSERS
    ),
    _between(TARGET, 0, 200, "a concentration in street air, in µg/m³"),
    *(
        _between(name, 100, 5000, "the sensor response, in the units of the device")
        for name in SENSORS
        if name.startswith("pt08")
    ),
    _between("co_mg_m3", 0, 50, "a concentration in street air, in mg/m³"),
    _between("nmhc_ug_m3", 0, 5000, "a concentration in street air, in µg/m³"),
    _between("nox_ppb", 0, 5000, "a concentration in street air, in ppb"),
    _between("no2_ug_m3", 0, 1000, "a concentration in street air, in µg/m³"),
    _between("temperature_c", -30, 60, "air temperature in °C"),
    _between("relative_humidity_pct", 0, 100, "a percentage"),
    _between("absolute_humidity", 0, 10, "absolute humidity, in the units of the file"),
)
