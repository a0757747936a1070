"""The data of a model, declared in Python: tables as in sources.toml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regrow.base.addresses import describe_file


def file(
    address: str | Sequence[str],
    *,
    refresh: bool = True,
    name: str | None = None,
    headers: Mapping[str, str] | None = None,
    **about: Any,
) -> dict[str, Any]:
    """Declares a file of data.

    Args:
        address: an http(s) URL or an object of storage (s3://, gs://, abfs://), several of the same
            file in the order in which they are asked, or a path relative to the project. A file at
            a path is read anew by each run; any other is pinned by its digest when it is read
            first.
        refresh: whether `regrow refresh` looks for new versions at a URL.
        name: what the source is called; by default as the model.
        headers: sent with each request to an https URL, such as `{"Authorization": "Bearer
            ${TOKEN}"}`; `${TOKEN}` is an environment variable, `${block:token}` a Secret block of
            Prefect.
        about: "title", "homepage", "licence", "citation" for reports and cards; "sha256" and
            "bytes" to pin the file by hand; "sample" for a small file in its place.
    """
    addresses = [address] if isinstance(address, str) else list(address)
    is_url = "://" in addresses[0]
    plain = describe_file(addresses, is_url=is_url)
    plain |= {key: about.pop(key) for key in ("sha256", "bytes") if key in about}
    plain |= {"headers": dict(headers)} if headers else {}
    table = {"file": plain["name"], "plain": plain, "refresh": refresh or not is_url, **about}
    return table | ({"name": name} if name else {})


def csv(address: str | Sequence[str], **options: Any) -> dict[str, Any]:
    """Declares a table, CSV or Parquet; the arguments are those of `file`."""
    return file(address, **options)


def sql(
    query: str, *, database: str, refresh: bool = True, name: str | None = None, **about: Any
) -> dict[str, Any]:
    """Declares the rows of an SQL query as a table.

    The first run pins the rows by a digest, and `regrow refresh` asks again; as the digest depends
    on the order of the rows, the query should have an ORDER BY.

    Args:
        query: SQL that gives rows.
        database: an SQLAlchemy URL without secrets, such as "${WAREHOUSE_URL}" or
            "postgresql+psycopg://reader:${PASSWORD}@db/sales"; see `headers` of `file`. Its driver
            must be installed.
        refresh: whether `regrow refresh` asks for new rows.
        name: what the source is called; by default as the model.
        about: as of `file`.
    """
    plain = {"name": "query", "query": query, "database": database}
    table = {"file": "rows.parquet", "plain": plain, "refresh": refresh, **about}
    return table | ({"name": name} if name else {})
