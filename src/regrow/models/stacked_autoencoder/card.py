"""What the model card of stacked-autoencoder says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To study layer-by-layer training of an autoencoder beside training it whole and beside "
        "PCA, and to represent a small handwritten digit by a few numbers."
    ),
    out_of_scope=(
        "Compression of pictures that must be restored exactly, recognition of digits in "
        "production, and a check for forged or unusual writing: a large error of reconstruction "
        "only says that a picture is unlike the training digits."
    ),
    data=(
        "1,797 digits of 8 x 8 pixels with 17 levels of ink, scikit-learn's copy of the test set "
        "of Optical Recognition of Handwritten Digits (E. Alpaydin and C. Kaynak, 1998), from 13 "
        "writers."
    ),
    evaluation=(
        "The mean squared error of test digits that are restored from their code, for ink from 0 "
        "to 1, and the accuracy of a logistic regression on the code, over all seeds. Beside it "
        "stand the same network trained whole for as many epochs, PCA with as many components, "
        "the untrained network and, for the probe, all 64 pixels."
    ),
    limits=(
        "Three layers on some 1,250 training digits: that layer-by-layer training is no better "
        "than training whole here says nothing about deeper networks. Digits are split by their "
        "pixels and not by their writers, so figures for new hands may be worse."
    ),
    ethics=(
        "The digits are published without their writers' names. A code may keep traces of a "
        "person's handwriting, so it does not make data anonymous."
    ),
    command="regrow predict stacked-autoencoder digit.png",
    pipeline_tag="image-feature-extraction",
    tags=("autoencoder", "digits", "dimensionality-reduction"),
)
