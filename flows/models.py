"""The flows of this project's models."""

from regrow.base.project import get_spec
from regrow.prefect.flows import make_flow
from tasks.stages import POLICIES

air_quality = make_flow(get_spec("air-quality"), POLICIES)
deep_dream = make_flow(get_spec("deep-dream"), POLICIES)
digit_localisation = make_flow(get_spec("digit-localisation"), POLICIES)
image_similarity = make_flow(get_spec("image-similarity"), POLICIES)
question_answering = make_flow(get_spec("question-answering"), POLICIES)
sentence_vectors = make_flow(get_spec("sentence-vectors"), POLICIES)
stacked_autoencoder = make_flow(get_spec("stacked-autoencoder"), POLICIES)
style_transfer = make_flow(get_spec("style-transfer"), POLICIES)
