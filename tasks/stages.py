"""How often, for how long and under which tags each stage is tried.

`prefect concurrency-limit create training 1` then lets one stage with that tag run at a time.
"""

from regrow.prefect.tasks import Policies, Policy

POLICIES: Policies = {
    # A download tries each address several times itself.
    "download": Policy(timeout_s=3600, retries=1, tags=("network",)),
    "clean": Policy(timeout_s=1800),
    "validate": Policy(timeout_s=1800),
    "train": Policy(timeout_s=24 * 3600, tags=("training",)),
    "evaluate": Policy(timeout_s=4 * 3600, tags=("training",)),
    "publish": Policy(timeout_s=1800, tags=("registry",)),
}
