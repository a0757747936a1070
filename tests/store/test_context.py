"""Stages read the settings that they declare, and no other."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import pytest

from regrow.base.errors import UserError
from regrow.base.spec import ModelConfig
from regrow.store.context import SettingsView


class Config(ModelConfig):
    rate: float = 0.1
    epochs: int = 3
    seed: int = 0
    largest: ClassVar[int] = 100

    @property
    def doubled(self) -> int:
        return 2 * self.epochs

    @cached_property
    def tripled(self) -> int:
        return 3 * self.epochs

    def scaled(self, by: int) -> float:
        return self.rate * by


def view(*names: str) -> SettingsView:
    return SettingsView(Config(), names, "stage train of example")


def test_declared_settings_are_read() -> None:
    seen = view("rate", "epochs")
    assert (seen.rate, seen.epochs, seen.largest) == (0.1, 3, 100)
    assert (seen.doubled, seen.tripled, seen.scaled(2)) == (6, 9, 0.2)
    assert seen.model_dump() == {"rate": 0.1, "epochs": 3}


@pytest.mark.parametrize(
    "read", ["seed", "epochs", "doubled", "tripled"], ids=lambda name: f"reads {name}"
)
def test_an_undeclared_setting_is_an_error_wherever_it_is_read(read: str) -> None:
    with pytest.raises(UserError) as error:
        getattr(view("rate"), read)
    assert error.value.received == ("seed" if read == "seed" else "epochs")
    assert "stage train of example" in str(error.value)


def test_a_copy_with_other_values_is_held_to_the_same_names() -> None:
    changed = view("rate", "epochs").model_copy(update={"epochs": 5})
    assert changed.doubled == 10
    with pytest.raises(UserError, match="'seed'"):
        view("rate").model_copy(update={"seed": 5})
    with pytest.raises(UserError, match="'seed'"):
        _ = changed.seed


def test_what_no_settings_have_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError):
        _ = view("rate").missing
