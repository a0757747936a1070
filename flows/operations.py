"""The flows that this project deploys beside those of its models."""

from regrow.prefect.backfill import backfill
from regrow.prefect.decisions import review, rollback
from regrow.prefect.drift import drift
from regrow.prefect.gc import gc
from regrow.prefect.predict import predict
from regrow.prefect.refresh import refresh
from regrow.prefect.retrain_all import retrain_all
from regrow.prefect.schedules import check_schedules
from regrow.prefect.stage import make_stage_flow
from regrow.prefect.sweep import sweep
from tasks.stages import POLICIES

__all__ = [
    "backfill",
    "check_schedules",
    "drift",
    "gc",
    "predict",
    "refresh",
    "retrain_all",
    "review",
    "rollback",
    "stage",
    "sweep",
]

# What a run sends to another worker, such as `stage/gpu`.
stage = make_stage_flow(POLICIES)
