"""Variables that a person has set for other programs, and that libraries obey here as well."""

from __future__ import annotations

import os
import re
import sys
import warnings

from regrow.base.errors import UserError
from regrow.base.secrets import hide_secrets

IGNORED = (
    # Meant for debugging: the training would be another one than its settings say.
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    # Charts are drawn into files, and a backend that is not installed stops matplotlib's import.
    "MPLBACKEND",
    # Results are kept by regrow, and Prefect would look for this place at the start of every run.
    "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK",
    "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT",
    "PREFECT_TASKS_DEFAULT_STORAGE_BLOCK",
    # What a library warns of is no error of the person who runs it.
    "PYTHONWARNINGS",
    # Numbers have the width and the precision that Keras's settings say.
    "JAX_DEBUG_INFS",
    "JAX_DEBUG_NANS",
    "JAX_DEFAULT_DTYPE_BITS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DISABLE_JIT",
    "JAX_ENABLE_X64",
    "JAX_NUMPY_DTYPE_PROMOTION",
    "JAX_NUMPY_RANK_PROMOTION",
)
# By which pandas' own tests choose how it behaves; and the pools of a server's connections to its
# database, which MLflow tries for minutes if their class is unknown.
IGNORED_PREFIXES = ("PANDAS_", "MLFLOW_SQLALCHEMYSTORE_")
# What a settings file of Keras may say as well, which only the variable overrides. Keras's import
# fails with it on every backend where Flax is not installed.
FIXED = {"KERAS_NNX_ENABLED": "0"}
# Those that libraries read. What regrow itself reads is explained where it is used.
LIBRARIES = re.compile(
    r"(ARROW|CUDA|GX|JAX|JOBLIB|KERAS|LOKY|MATPLOTLIB|MKL|MLFLOW|MPL|NLTK|NUMEXPR|OMP|OPENBLAS"
    r"|PREFECT|SQLALCHEMY|TF|TORCH|XLA)_?[A-Z0-9_]+|SOURCE_DATE_EPOCH"
)
OURS = {"KERAS_BACKEND", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME"}
# A shorter value is found in too many messages.
LEAST_VALUE = 3
# What Python itself does not show, unless it is told to.
QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def ignore_foreign_variables() -> None:
    """Makes a process of regrow's own independent of variables that change what it does.

    To be called before libraries are imported. Text that the encoding of the terminal lacks is
    replaced, since an error would end the command that printed it.
    """
    for name in list(os.environ):
        if name in IGNORED or name.startswith(IGNORED_PREFIXES):
            del os.environ[name]
    os.environ.update(FIXED)
    if sys.warnoptions:
        sys.warnoptions.clear()
        warnings.resetwarnings()
        for category in QUIET:
            warnings.simplefilter("ignore", category)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def find_refused_variable(error: BaseException | str) -> UserError | None:
    """The error that a library cannot work with a variable which its own error names or quotes.

    A name counts more than a value, which several variables may have.
    """
    text = str(error)
    set_here = sorted(
        (name, value)
        for name, value in os.environ.items()
        if value and name not in OURS and LIBRARIES.fullmatch(name)
    )
    for says in (_names, _quotes, _speaks_of):
        for name, value in set_here:
            if says(text, name, value):
                lines = text.strip().splitlines()
                line = next((each for each in lines if says(each, name, value)), lines[0])
                return UserError(
                    "a library does not accept an environment variable",
                    where=f"the environment variable {name}",
                    received=f"{hide_secrets(value)}: {hide_secrets(line.strip())}",
                    remedies=[f"correct it, or unset {name}"],
                )
    return None


def _names(text: str, name: str, _value: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def _quotes(text: str, name: str, value: str) -> bool:
    """Whether a message quotes the value; a short one counts below the end of the name, as Prefect
    writes it: "port" alone in a line for PREFECT_SERVER_API_PORT.
    """
    if not re.search(rf"(?i)['\"`]{re.escape(value)}['\"`]", text):
        return False
    fields = (line.strip() for line in text.splitlines())
    return len(value) >= LEAST_VALUE or any(name.endswith(f"_{f.upper()}") for f in fields if f)


def _speaks_of(text: str, _name: str, value: str) -> bool:
    """Whether a message on some variable has the value as a word, as MLflow's on its pools."""
    return (
        len(value) >= LEAST_VALUE
        and "environment variable" in text.lower()
        and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None
    )
