"""The names of the columns: the file's, and ours with their units."""

from __future__ import annotations

TIMESTAMP = "timestamp"
TARGET = "benzene_ug_m3"
# The file's headers and our names, in the file's order.
COLUMNS = {
    "CO(GT)": "co_mg_m3",
    "PT08.S1(CO)": "pt08_s1_co",
    "NMHC(GT)": "nmhc_ug_m3",
    "C6H6(GT)": TARGET,
    "PT08.S2(NMHC)": "pt08_s2_nmhc",
    "NOx(GT)": "nox_ppb",
    "PT08.S3(NOx)": "pt08_s3_nox",
    "NO2(GT)": "no2_ug_m3",
    "PT08.S4(NO2)": "pt08_s4_no2",
    "PT08.S5(O3)": "pt08_s5_o3",
    "T": "temperature_c",
    "RH": "relative_humidity_pct",
    "AH": "absolute_humidity",
}
DATE, TIME = "Date", "Time"
INPUTS = tuple(name for name in COLUMNS.values() if name != TARGET)

# What the model takes: the twelve readings, then hour (0 to 23) and weekday (0 is Monday).
FEATURES = (*INPUTS, "hour", "weekday")
