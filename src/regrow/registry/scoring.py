"""A registered version as MLflow's own scoring server answers with it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse

from regrow.base.digests import digest_file
from regrow.base.errors import DataError, UserError
from regrow.base.model_digests import TAG
from regrow.registry.mlflow import MODEL_FILE
from regrow.registry.names import ChampionRef
from regrow.registry.versions import Registry

App = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application, called as `app(scope, receive, send)`."""


@dataclass(frozen=True)
class Scorer:
    """A version that is loaded.

    Attributes:
        version: its number.
        app: answers MLflow's four paths: /invocations, /ping, /health and /version.
        columns: its inputs, as MLflow writes a signature; None for a model of arrays.
    """

    version: int
    app: App
    columns: list[dict[str, Any]]


def load_scorer(registry: Registry, version: Any) -> Scorer:
    """Loads a version through MLflow, from a copy whose digests are those that were registered.

    Raises:
        UserError: the version answers in regrow only.
        DataError: a file is not the one that was registered.
    """
    import mlflow
    from mlflow.pyfunc import scoring_server

    with tempfile.TemporaryDirectory(prefix="regrow-serve-") as name:
        folder = copy_verified(registry, version, Path(name) / "model")
        model = mlflow.pyfunc.load_model(str(folder))
    columns = model.metadata.get_input_schema().to_dict()
    return Scorer(
        int(version.version), read_csv_times(scoring_server.init(model), columns), columns
    )


def read_csv_times(app: App, columns: list[dict[str, Any]]) -> App:
    """Has MLflow's application answer CSV for a model with a column of times.

    Its own reader passes the type of that column to pandas.read_csv, which refuses every file then
    (MLflow 3.17, `parse_csv_input`). It gets the rows as JSON, in which it reads times.

    Args:
        app: MLflow's application.
        columns: the model's inputs, as MLflow writes a signature.
    """
    if not any(column["type"] == "datetime" for column in columns):
        return app
    texts = [column["name"] for column in columns if column["type"] in ("datetime", "string")]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "text/csv":
            await app(scope, receive, send)
            return
        try:
            body = _csv_to_json(await request.body(), texts)
        except ValueError as error:  # of pandas, and bytes that are not UTF-8
            why = f"the request is not valid CSV: {error}"
            refusal = JSONResponse({"error_code": "BAD_REQUEST", "message": why}, 400)
            await refusal(scope, receive, send)
            return
        as_json = {**scope, "headers": list(scope["headers"])}
        headers = MutableHeaders(scope=as_json)
        headers["content-type"], headers["content-length"] = "application/json", str(len(body))
        message = {"type": "http.request", "body": body, "more_body": False}

        async def receive_json() -> Any:
            return message

        await app(as_json, receive_json, send)

    return answer


def _csv_to_json(body: bytes, texts: list[str]) -> bytes:
    import pandas as pd

    frame = pd.read_csv(BytesIO(body), dtype=dict.fromkeys(texts, "str")).astype(object)
    rows = frame.where(frame.notna(), None).to_dict("split", index=False)
    return json.dumps({"dataframe_split": rows}).encode()


def copy_verified(registry: Registry, version: Any, target: Path) -> Path:
    """Copies the files of a version that were registered, and no others.

    What is loaded is the copy, so that a file cannot be exchanged between check and use.

    Raises:
        UserError: the version answers in regrow only.
        DataError: a file is missing, or is not the one that was registered.
    """
    expected: dict[str, str] = json.loads(version.tags.get(TAG, "{}"))
    ref = ChampionRef.parse(registry.name)
    if MODEL_FILE not in expected:
        raise UserError(
            f"{registry.name} version {version.version} cannot be served",
            received="it was registered by an older version of regrow, with the model alone",
            remedies=[f"publish it again with a change of code or data: regrow run {ref.model}"],
        )
    folder = registry.files(version)
    for name, digest in expected.items():
        source, copy = folder / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copyfile(source, copy)
        found = digest_file(copy) if copy.is_file() else "no such file"
        if found != digest:
            raise DataError(
                f"{registry.name} version {version.version} is not what was registered, and is not "
                "loaded",
                where=str(source),
                received=found if found == "no such file" else f"sha256 {found}",
                expected=f"sha256 {digest}",
                remedies=[
                    "restore the file from a backup",
                    f"go back to another version: regrow rollback {ref.arguments} VERSION",
                ],
            )
    facts = json.loads((target / "artifacts" / "serving" / "facts.json").read_text("utf-8"))
    if "error" in facts:
        raise UserError(
            f"{registry.name} version {version.version} cannot be served",
            received=facts["error"],
            expected="a model that TensorFlow can export",
            remedies=[f"regrow predict {ref.arguments} FILE answers with it"],
        )
    return target
