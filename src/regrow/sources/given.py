"""A person's own file, or the sample, in place of a source: plain, packed, or in an archive."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from regrow.base.archive_members import is_damage, is_litter
from regrow.base.errors import DataError, shorten_list
from regrow.base.file_kinds import name_kind
from regrow.sources.archives import (
    MAX_UNPACKED_BYTES,
    CopiedFile,
    MemberInfo,
    TooLarge,
    copy_stream,
    explain_damage,
    extract_members,
    list_members,
)
from regrow.sources.packed import archive_kind, open_packed
from regrow.sources.source import Source

# What no module of Python's own unpacks.
UNPACKED_BY_HAND = {
    "a 7z archive",
    "a RAR archive",
    "compressed with Zstandard",
    "compressed with compress",
}
GZIP = "compressed with gzip"
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def copy_given(source: Source, path: Path, out: Path) -> dict[str, CopiedFile]:
    """Copies a file that somebody gives for a source; its digest is not checked.

    A packed file is unpacked. Of an archive the members that the source declares are taken, also
    where they are in other folders; for a source of one file its only file, or the only one of that
    ending. An archive that holds nothing but another one is opened as well.

    Args:
        source: what it stands for.
        path: the file.
        out: where the files are written, under the paths that the source declares.

    Raises:
        DataError: it is damaged, packed in a way that is not read, or lacks what is needed.
    """
    return _copy(source, path, out, str(path))


def _copy(
    source: Source, path: Path, out: Path, where: str, *, inner: bool = False
) -> dict[str, CopiedFile]:
    kind, name = archive_kind(path), name_kind(path)
    if name in UNPACKED_BY_HAND:
        raise DataError(
            f"the local file for {source.name} is {name}, which regrow cannot unpack",
            where=where,
            expected=f"{source.file}, or this file in a gzip, bzip2, xz, zip or tar file",
            remedies=["unpack it, and pass the file inside"],
        )
    wanted = list(source.pinned)
    single = wanted[0] if wanted == [source.file] or len(wanted) == 1 else None
    # What has no ending, such as a photo, may be a zip that the model opens itself.
    if kind in ("zip", "tar") and (source.archive or PurePosixPath(source.file).suffix):
        return _copy_members(source, path, out, where, single, inner=inner)
    if single is None:
        raise DataError(
            f"{source.name} consists of several files, so a single file cannot replace it",
            where=where,
            received=name,
            expected=f"a zip or tar(.gz) with {len(wanted)} members, among them {wanted[0]}",
        )
    if kind == "packed" and not (single.endswith(".gz") and name == GZIP):
        return {single: _unpack(path, out / single)}
    return _copy_plain(path, out, single)


def _copy_plain(path: Path, out: Path, name: str) -> dict[str, CopiedFile]:
    with path.open("rb") as stream:
        return {name: copy_stream(stream, out / name)}


def _copy_members(
    source: Source, path: Path, out: Path, where: str, single: str | None, *, inner: bool
) -> dict[str, CopiedFile]:
    names = [name for name in list_members(path) if not is_litter(name)]
    # A sample or a local file may hold only some of many files; the model's clean stage refuses
    # those that lack a file it needs.
    found = match_members(source.pinned, names)
    if not found and single is not None and (only := _find_only(names, single)):
        found = {single: only}
    nested = [name for name in names if name.lower().endswith(ARCHIVES)]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=out) as folder:
        if not found and len(nested) == 1 and not inner:
            extract_members(path, {nested[0]: MemberInfo()}, Path(folder))
            archive, label = Path(folder) / nested[0], f"{where}, member {nested[0]}"
            try:
                return _copy(source, archive, out, label, inner=True)
            except DataError as error:
                error.where = (error.where or label).replace(str(archive), label)
                raise
        if not found and source.archive is None:
            return _copy_plain(path, out, source.file)  # the model reads the archive itself
        if not found:
            raise DataError(
                f"the archive contains no file that can be used for {source.name}",
                where=where,
                received=shorten_list(names),
                expected=shorten_list(source.pinned),
                remedies=[
                    f"unpack it and pass {source.file}"
                    if single
                    else "pack these files (in any folder) and pass the archive to --source"
                ],
            )
        members = dict.fromkeys(found.values(), MemberInfo())
        copied = extract_members(path, members, Path(folder))
        for declared, name in found.items():
            (out / declared).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).replace(out / declared)
    return {declared: copied[name] for declared, name in found.items()}


def _unpack(path: Path, target: Path) -> CopiedFile:
    """Writes the one file that a packed file holds.

    Raises:
        DataError: it is damaged, or larger than allowed.
    """
    try:
        with path.open("rb") as raw:
            return copy_stream(open_packed(raw), target, limit_bytes=MAX_UNPACKED_BYTES)
    except TooLarge as error:
        raise DataError(
            "the unpacked file is too large",
            where=str(path),
            received=f"more than {MAX_UNPACKED_BYTES} bytes",
            expected=f"at most {MAX_UNPACKED_BYTES} bytes",
        ) from error
    except Exception as error:
        if not is_damage(error):
            raise
        raise explain_damage(path, error) from error


def match_members(declared: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """The members of an archive that are declared files: by path, else by its end, else by name.

    >>> match_members(["data/a.csv"], ["folder/data/a.csv", "b.csv"])
    {'data/a.csv': 'folder/data/a.csv'}
    """
    wanted, plain = list(declared), {name: name.replace("\\", "/") for name in names}
    bases = [_base(path) for path in wanted]
    found = {}
    for path, base in zip(wanted, bases, strict=True):
        ways = (
            [name for name, as_path in plain.items() if as_path == path],
            [name for name, as_path in plain.items() if as_path.endswith(f"/{path}")],
            [name for name, as_path in plain.items() if path.endswith(f"/{as_path}")],
            [name for name, as_path in plain.items() if _base(as_path) == base]
            if bases.count(base) == 1
            else [],
        )
        candidates = next((way for way in ways if way), [])
        if len(candidates) == 1:
            found[path] = candidates[0]
    return found


def _find_only(names: list[str], file: str) -> str | None:
    """The only member of a file's ending, or the only member at all."""
    endings = {"".join(PurePosixPath(file).suffixes[-1:])}
    alike = [name for name in names if PurePosixPath(name).suffix.lower() in endings]
    chosen = alike if len(alike) == 1 else names
    return chosen[0] if len(chosen) == 1 and not chosen[0].lower().endswith(ARCHIVES) else None


def _base(path: str) -> str:
    return path.rpartition("/")[2]
