"""Makes data/samples/air-quality.csv: our own numbers in the form of the UCI Air Quality file.

A small model of a street: traffic by hour and weekday gives benzene, the sensors respond to it with
drift and weather. No figure of it is taken from the real data, and none says anything about it.

    python data/samples/generate_air_quality.py data/samples/air-quality.csv
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

HEADER = (
    "Date;Time;CO(GT);PT08.S1(CO);NMHC(GT);C6H6(GT);PT08.S2(NMHC);NOx(GT);PT08.S3(NOx);"
    "NO2(GT);PT08.S4(NO2);PT08.S5(O3);T;RH;AH;;"
)
HOURS = 1500
START = datetime(2030, 3, 4)
EMPTY_ROWS = 6
SEED = 20300304


def simulate(hours: int = HOURS, seed: int = SEED) -> dict[str, np.ndarray]:
    """The street's readings, each of shape (hours,), without gaps."""
    rng = np.random.default_rng(seed)
    hour = np.arange(hours) % 24
    weekday = np.arange(hours) // 24 % 7
    drift = np.linspace(0, 1, hours)
    rush = np.exp(-((hour - 8) ** 2) / 6) + 1.2 * np.exp(-((hour - 19) ** 2) / 8)
    traffic = (0.25 + rush) * np.where(weekday >= 5, 0.6, 1.0)
    weather = np.convolve(rng.normal(size=hours + 48), np.ones(49) / 7, mode="valid")
    burden = traffic * np.exp(0.35 * weather + rng.normal(0, 0.15, hours))
    s2 = np.round(520 + 420 * np.sqrt(burden))
    temperature = 14 + 6 * drift + 5 * np.sin((hour - 9) * np.pi / 12) + weather
    humidity = np.clip(62 - 2.2 * (temperature - 14) + rng.normal(0, 5, hours), 12, 95)
    noise = {name: rng.normal(0, 1, hours) for name in ("co", "s1", "nox", "s3", "no2", "s4", "s5")}
    return {
        "co": np.clip(1.9 * burden + 0.2 * noise["co"], 0.1, None),
        "s1": np.round(820 + 330 * np.sqrt(burden) + 40 * drift + 25 * noise["s1"]),
        "nmhc": np.round(40 + 190 * burden),
        # A smooth, rising function of S2, rounded as the real column is.
        "benzene": np.round(((s2 - 330) / 205) ** 2, 1),
        "s2": s2,
        "nox": np.round(np.clip(170 * burden + 15 * noise["nox"], 2, None)),
        "s3": np.round(1500 / (1 + 0.75 * np.sqrt(burden)) + 60 * drift + 20 * noise["s3"]),
        "no2": np.round(np.clip(60 + 55 * np.sqrt(burden) + 6 * noise["no2"], 2, None)),
        "s4": np.round(1150 + 380 * np.sqrt(burden) + 9 * temperature + 25 * noise["s4"]),
        "s5": np.round(500 + 560 * np.sqrt(burden) + 35 * noise["s5"]),
        "t": np.round(temperature, 1),
        "rh": np.round(humidity, 1),
        "ah": np.round(humidity / 100 * 0.62 * np.exp(0.062 * temperature), 4),
    }


def punch_gaps(readings: dict[str, np.ndarray], seed: int = SEED) -> dict[str, np.ndarray]:
    """The same with -200 where the device, an analyser or the hydrocarbon counter was off."""
    rng = np.random.default_rng(seed + 1)
    hours = len(readings["s2"])
    gapped = {name: values.copy() for name, values in readings.items()}
    device = ("s1", "benzene", "s2", "s3", "s4", "s5", "t", "rh", "ah")
    for start in rng.choice(hours - 12, size=8, replace=False):
        length = rng.integers(3, 9)
        for name in device:
            gapped[name][start : start + length] = -200
    for start in rng.choice(hours - 40, size=9, replace=False):
        for name in ("co", "nox", "no2"):
            gapped[name][start : start + 24] = -200
    gapped["nmhc"][int(0.15 * hours) :] = -200
    return gapped


def format_number(value: float, digits: int) -> str:
    """A number as the file writes it: decimal comma, no needless digits."""
    text = f"{value:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if digits else text).replace(".", ",")


def format_file(readings: dict[str, np.ndarray]) -> bytes:
    """The whole file, with CRLF line ends and its empty rows."""
    digits = {"co": 1, "benzene": 1, "t": 1, "rh": 1, "ah": 4}
    order = ("co", "s1", "nmhc", "benzene", "s2", "nox", "s3", "no2", "s4", "s5", "t", "rh", "ah")
    lines = [HEADER]
    for row in range(len(readings["s2"])):
        moment = START + timedelta(hours=row)
        values = (format_number(float(readings[n][row]), digits.get(n, 0)) for n in order)
        lines.append(f"{moment:%d/%m/%Y};{moment:%H.%M.%S};" + ";".join(values) + ";;")
    lines += [";" * HEADER.count(";")] * EMPTY_ROWS
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(format_file(punch_gaps(simulate())))
