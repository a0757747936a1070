"""The declared sources: those of regrow, of the project in use, and of its models."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from regrow.base.addresses import describe_file
from regrow.base.declared_data import sql
from regrow.base.errors import UserError, list_problems
from regrow.base.project import list_models, load_specs
from regrow.base.project_file import FILE, read_project, shipped_project
from regrow.base.settings import Settings
from regrow.sources.source import Source


class Catalog(Mapping[str, Source]):
    """The declared sources by name. A wrong table stops only those that look its source up.

    Attributes:
        errors: what is wrong with the tables that cannot be used, by name.
    """

    def __init__(self, path: Path, tables: Mapping[str, Any]) -> None:
        self._path = path
        self._sources: dict[str, Source] = {}
        self.errors: dict[str, UserError] = {}
        self.add(path, tables)

    def add(self, path: Path, tables: Mapping[str, Any]) -> None:
        """Adds the tables of another file; one with a name that is there replaces it."""
        for name, table in tables.items():
            self._sources.pop(name, None)
            self.errors.pop(name, None)
            try:
                self._sources[name] = _parse_source(path, name, table)
            except UserError as error:
                self.errors[name] = error

    def __getitem__(self, name: str) -> Source:
        """The source of this name.

        Raises:
            UserError: its table is wrong, or there is none.
        """
        if name in self.errors:
            raise self.errors[name]
        if name not in self._sources:
            raise UserError(
                f"there is no source {name!r}",
                where=str(self._path),
                received=name,
                expected=", ".join(self._sources),
                remedies=[f"declare it in a table [{name}]"],
            )
        return self._sources[name]

    @property
    def refreshed(self) -> list[str]:
        """The sources that may change upstream; one whose table is wrong is none of them."""
        return [name for name, source in self._sources.items() if source.refresh]

    def __contains__(self, name: object) -> bool:
        return name in self._sources or name in self.errors

    def __iter__(self) -> Iterator[str]:
        return iter([*self._sources, *self.errors])

    def __len__(self) -> int:
        return len(self._sources) + len(self.errors)


def load_sources(path: Path) -> Catalog:
    """Reads a file of sources, such as sources.toml.

    Raises:
        UserError: it is missing or not TOML.
    """
    return Catalog(path, _read_tables(path))


def _read_tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            "the list of sources cannot be read", where=str(path), received=error.strerror
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            "the list of sources is not valid TOML", where=str(path), received=str(error)
        ) from error


def declared_sources(settings: Settings) -> Catalog:
    """All sources that models here can read: regrow's own, the project's, and those of its models.

    Raises:
        UserError: a file of sources is missing or not TOML.
    """
    root, own = settings.project, shipped_project() / "data" / "sources.toml"
    if root == shipped_project():
        return load_sources(own)
    # In another project regrow's own sources are read as they are declared, and not looked at.
    catalog = Catalog(own, {n: {**t, "refresh": False} for n, t in _read_tables(own).items()})
    declared = read_project(root).sources
    if isinstance(declared, str):
        catalog.add(root / declared, _read_tables(root / declared))
    else:
        catalog.add(root / FILE, declared)
    for spec in load_specs(list_models())[0]:
        catalog.add(root / spec.name, spec.declares)
    return catalog


def _complete(table: Any) -> Any:
    """A table that gives only a url, a path or a query as one with the plain file behind it."""
    short = [key for key in ("url", "path", "query") if isinstance(table, dict) and key in table]
    if len(short) != 1 or {"plain", "archive"} & table.keys():
        return table
    if short == ["query"]:
        rest = {key: value for key, value in table.items() if key not in ("query", "database")}
        return {**sql(table["query"], database=table.get("database", "")), **rest}
    plain = describe_file([str(table[short[0]])], is_url=short == ["url"])
    plain |= {key: table[key] for key in ("sha256", "bytes", "headers") if key in table}
    rest = {key: value for key, value in table.items() if key not in (*short, *plain)}
    return {"file": plain["name"], "plain": plain, "refresh": short == ["path"], **rest}


def _parse_source(path: Path, name: str, table: Any) -> Source:
    try:
        if not isinstance(table, dict):
            raise TypeError(f"expected a table [{name}]")
        return Source.model_validate(
            {"title": name, **_complete(table), "name": name, "folder": path.parent}
        )
    except ValidationError as error:
        problems = list_problems(error, name)
    except TypeError as error:
        problems = str(error)
    raise UserError(
        f"the source {name} is not declared correctly; models that read it cannot run",
        where=f"{path}, table [{name}]",
        received=problems,
        remedies=["the comment at the top of data/sources.toml lists the fields"],
    )
