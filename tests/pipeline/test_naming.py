"""Names of runs, and the command that asks for the same run."""

from __future__ import annotations

import shlex
from pathlib import Path

from regrow.base.project import get_spec
from regrow.cli.options import build_request
from regrow.pipeline.naming import describe_command, list_overrides, name_request
from regrow.pipeline.request import RunRequest, make_request


def read_back(command: str) -> RunRequest:
    """The request that `regrow run` makes of a command's words."""
    words = shlex.split(command)
    assert words[:2] == ["regrow", "run"]
    values: dict[str, list[str]] = {}
    flags = {word for word in words if word in ("--sample", "--or-sample")}
    rest = [word for word in words[3:] if word not in flags]
    for option, value in zip(rest[::2], rest[1::2], strict=True):
        values.setdefault(option, []).append(value)
    return build_request(
        get_spec(words[2]),
        values["--preset"][0],
        values.get("--set"),
        values.get("--source"),
        "sample" if "--sample" in flags else "real-or-sample" if flags else "real",
        values.get("--data-version"),
    )


def test_the_command_asks_for_the_same_run() -> None:
    spec = get_spec("air-quality")
    overrides = {"seeds": 2, "variants": {"all-sensors": {"epochs": 3, "inputs": ["pt08_s1_co"]}}}
    for request in (
        make_request(spec),
        make_request(spec, preset="quick", data="sample"),
        make_request(spec, preset="quick", data="real-or-sample", overrides=overrides),
        make_request(spec, sources={"air-quality": Path("/data/a file.csv")}),
        make_request(spec, versions={"air-quality": "13277ae5"}),
        make_request(get_spec("deep-dream"), overrides={"guided": True, "backbone": "vgg16"}),
    ):
        assert read_back(describe_command(request)) == request


def test_a_name_has_what_differs_from_the_preset() -> None:
    spec = get_spec("deep-dream")
    assert name_request(make_request(spec)) == "deep-dream best"
    some = make_request(spec, preset="quick", overrides={"steps": 3, "size": 224})
    assert name_request(some) == "deep-dream quick steps=3"  # the size is the preset's
    assert list_overrides(some) == {"steps": 3}
    many = {"steps": 3, "octaves": 2, "seed": 5, "jitter": 0, "backbone": "vgg16"}
    assert name_request(make_request(spec, overrides=many)).endswith(" +2")
