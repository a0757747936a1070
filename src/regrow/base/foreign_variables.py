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
    # What a library warns of is no error of the person who runs it.
    "PYTHONWARNINGS",
)
# Those that libraries read. What regrow itself reads is explained where it is used.
LIBRARIES = re.compile(
    r"(ARROW|CUDA|GX|JAX|JOBLIB|KERAS|LOKY|MATPLOTLIB|MKL|MLFLOW|MPL|NLTK|NUMEXPR|OMP|OPENBLAS|PANDAS"
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
    for name in IGNORED:
        os.environ.pop(name, None)
    if sys.warnoptions:
        sys.warnoptions.clear()
        warnings.resetwarnings()
        for category in QUIET:
            warnings.simplefilter("ignore", category)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def find_refused_variable(error: BaseException) -> UserError | None:
    """The error that a library cannot work with a variable which its own error names or quotes."""
    text = str(error)
    for name, value in sorted(os.environ.items()):
        if name in OURS or not value or not LIBRARIES.fullmatch(name):
            continue
        quoted = len(value) >= LEAST_VALUE and re.search(rf"['\"`]{re.escape(value)}['\"`]", text)
        if quoted or re.search(rf"\b{name}\b", text):
            return UserError(
                "a library cannot work with a variable of the environment",
                where=f"the environment variable {name}",
                received=f"{hide_secrets(value)}: {hide_secrets(text.strip().splitlines()[0])}",
                remedies=[f"correct it, or unset {name}"],
            )
    return None
