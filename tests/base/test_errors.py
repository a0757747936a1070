"""Errors for programs and for people are equally short."""

from __future__ import annotations

from regrow.base.errors import MAX_CHARACTERS, MAX_LINES, UserError


def test_a_long_error_is_as_short_in_json_as_on_a_terminal() -> None:
    lines = [f"value {n}" for n in range(1000)]
    error = UserError("wrong", where="x" * 10_000, received="\n".join(lines))
    fields = error.fields()
    assert len(fields["where"]) == MAX_CHARACTERS + 1
    assert fields["received"].splitlines() == [*lines[:MAX_LINES], "… and 960 lines more"]
    # Another process raises it again, and a person reads it there.
    assert str(UserError(**fields)) == str(error)
