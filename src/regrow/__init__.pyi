"""The types of the names that `__init__.py` imports when they are first used."""

from regrow.api.champion import Champion as Champion
from regrow.api.champion import load_champion as load_champion
from regrow.api.champion import predict as predict
from regrow.api.runs import RunResult as RunResult
from regrow.api.runs import run as run
from regrow.api.views import compare as compare
from regrow.api.views import list_models as list_models
from regrow.api.views import status as status
from regrow.base.declared_data import csv as csv
from regrow.base.declared_data import file as file
from regrow.base.declared_data import sql as sql
from regrow.base.errors import DataError as DataError
from regrow.base.errors import UserError as UserError
from regrow.base.spec import Card as Card
from regrow.base.spec import Gate as Gate
from regrow.base.spec import ModelConfig as ModelConfig
from regrow.base.spec import ModelSpec as ModelSpec
from regrow.base.spec import Serving as Serving
from regrow.base.spec import StageSpec as StageSpec
from regrow.checks.expectations import Expectation as Expectation
from regrow.checks.expectations import expect as expect
from regrow.checks.profiles import profile_table as profile_table
from regrow.operations.check import check as check
from regrow.operations.compare import Comparison as Comparison
from regrow.store.context import StageContext as StageContext
from regrow.tabular.inputs import TableInputs as TableInputs
from regrow.tabular.model import Columns as Columns
from regrow.tabular.model import Model as Model
from regrow.tabular.model import Split as Split
from regrow.tabular.model import TrainingConfig as TrainingConfig
from regrow.tabular.model import columns as columns
from regrow.training.determinism import set_seed as set_seed
from regrow.training.fit import fit as fit
from regrow.training.inference import answer as answer
from regrow.training.inference import load_model as load_model
from regrow.training.inference import save_example as save_example
from regrow.training.plan import FitPlan as FitPlan
from regrow.training.seeds import run_trainings as run_trainings

PUBLIC: dict[str, str]
