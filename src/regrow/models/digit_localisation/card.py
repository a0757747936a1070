"""What the model card of digit-localisation says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To find the one handwritten digit of a small picture and name it, and to study a network "
        "with two outputs and two losses."
    ),
    out_of_scope=(
        "Pictures with several digits or none: the network always names one. Reading forms, "
        "number plates or meters where an error has a cost, and any other object."
    ),
    data=(
        "Scenes of 32 x 32 pixels that are drawn from the 1,797 digits of scikit-learn's file (E. "
        "Alpaydin and C. Kaynak, 1998; 13 writers): one digit, 12 to 20 pixels high, among four "
        "to eight fragments of others and noise. The scenes of a split use that split's digits "
        "alone."
    ),
    evaluation=(
        "On scenes of test digits: the share in which the digit is right and its box overlaps the "
        "true one by half or more, the accuracy of the digit and the mean overlap, over all "
        "seeds. Beside it stand a constant answer, linear models and the five nearest training "
        "scenes, on 64 principal components."
    ),
    limits=(
        "The scenes are made, not photographed: backgrounds, lighting and occlusion of real "
        "pictures are missing, and fragments never cross the digit. A digit must fill between a "
        "third and two thirds of the picture's height. The same 13 writers may be in all splits."
    ),
    ethics=(
        "The digits are published without their writers' names. Ways to write digits that the 13 "
        "writers do not use are read with more errors; a confidence near 1 does not exclude that."
    ),
    command="regrow predict digit-localisation picture.png",
    pipeline_tag="object-detection",
    tags=("digits", "localisation", "synthetic-scenes"),
)
