"""A bound on the threads of libraries that wait for each other on busy cores."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

# The user's own bound, which the libraries read themselves.
VARIABLE = "OMP_NUM_THREADS"
# Where the wheels of scikit-learn keep their OpenMP.
FOLDER = re.compile(r"[/\\](scikit_learn\.libs|sklearn)[/\\]")


@contextmanager
def bounded_threads(libraries: Collection[str]) -> Iterator[None]:
    """Lets scikit-learn use one OpenMP thread, unless OMP_NUM_THREADS says otherwise.

    After each small loop its threads wait for the slowest one without giving up their cores. Beside
    other busy processes a fit of 0.2 s takes minutes. OpenMP of other libraries, such as PyTorch's,
    is a copy of its own and is left as it is.

    Args:
        libraries: the import names of what the code imports that will run.
    """
    if "sklearn" not in libraries or os.environ.get(VARIABLE):
        yield
        return
    import sklearn.utils  # noqa: F401  (only what is loaded can be bounded)
    from threadpoolctl import ThreadpoolController

    controller = ThreadpoolController()
    own = [
        library.filepath
        for library in controller.lib_controllers
        if library.user_api == "openmp" and FOLDER.search(library.filepath)
    ]
    with controller.select(filepath=own).limit(limits=1):
        yield
