"""What the model card of digit-localisation says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To locate and classify the single handwritten digit in a small picture, and to study a "
        "network with two outputs and two losses."
    ),
    out_of_scope=(
        "Pictures with several digits or none: the network always predicts exactly one. Reading "
        "forms, number plates or meters where errors have consequences, and any objects other "
        "than digits."
    ),
    data=(
        "Scenes of 32 x 32 pixels that are generated from the 1,797 digits in scikit-learn's "
        "file (E. Alpaydin and C. Kaynak, 1998; 13 writers): one digit, 12 to 20 pixels high, "
        "with four to eight fragments of other digits and noise. The scenes of a split only use "
        "digits of that split."
    ),
    evaluation=(
        "Metrics on scenes with test digits, over all seeds: the share of scenes with the "
        "correct digit and a box that overlaps the true box by at least half, the accuracy of "
        "the digit, and the mean overlap. The baselines are a constant prediction, and linear "
        "models and the five nearest training scenes on 64 principal components."
    ),
    limits=(
        "The scenes are generated, not photographed: they lack the backgrounds, lighting and "
        "occlusion of real pictures, and fragments never overlap the digit. A digit must fill "
        "between a third and two thirds of the picture's height. The same 13 writers may occur "
        "in all splits."
    ),
    ethics=(
        "The digits are published without the names of their writers. Styles of handwriting that "
        "do not occur among the 13 writers are recognised with more errors, even if the "
        "confidence is close to 1."
    ),
    command="regrow predict digit-localisation picture.png",
    pipeline_tag="object-detection",
    tags=("digits", "localisation", "synthetic-scenes"),
)
