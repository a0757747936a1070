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
        "training picks columns by name",
        column_list=[TIMESTAMP, *COLUMNS.values()],
    ),
    expect(
        "table_row_count_to_be_between",
        "less than six weeks of hours cannot show a season or a test split",
        min_value=1000,
    ),
    expect("column_values_to_not_be_null", "every reading has its hour", column=TIMESTAMP),
    expect(
        "column_values_to_be_unique",
        "an hour that stands twice would be in training and in the test split",
        column=TIMESTAMP,
    ),
    expect(
        "column_values_to_not_be_null",
        "without benzene there is nothing to learn or to test",
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
            "the reference analysers are missing in up to a fifth of the hours",
            column=name,
            mostly=0.5,
        )
        for name in ANALYSERS
    ),
    _between(TARGET, 0, 200, "a concentration in street air, in µg/m³"),
    *(
        _between(name, 100, 5000, "the sensors' response, in the device's units")
        for name in SENSORS
        if name.startswith("pt08")
    ),
    _between("co_mg_m3", 0, 50, "a concentration in street air, in mg/m³"),
    _between("nmhc_ug_m3", 0, 5000, "a concentration in street air, in µg/m³"),
    _between("nox_ppb", 0, 5000, "a concentration in street air, in ppb"),
    _between("no2_ug_m3", 0, 1000, "a concentration in street air, in µg/m³"),
    _between("temperature_c", -30, 60, "air temperature in °C"),
    _between("relative_humidity_pct", 0, 100, "a percentage"),
    _between("absolute_humidity", 0, 10, "absolute humidity in the file's units"),
)
