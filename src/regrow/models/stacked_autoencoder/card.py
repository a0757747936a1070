"""What the model card of stacked-autoencoder says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To compare layer-by-layer training of an autoencoder with end-to-end training and PCA, "
        "and to represent small handwritten digits by a few numbers."
    ),
    out_of_scope=(
        "Compression of pictures that must be restored exactly, recognition of digits in "
        "production, and detection of forged or unusual writing: a large reconstruction error "
        "only shows that a picture is unlike the training digits."
    ),
    data=(
        "1,797 digits of 8 x 8 pixels with 17 grey levels, scikit-learn's copy of the test set "
        "of Optical Recognition of Handwritten Digits (E. Alpaydin and C. Kaynak, 1998), from 13 "
        "writers."
    ),
    evaluation=(
        "The mean squared error of test digits reconstructed from their code, for grey levels "
        "from 0 to 1, and the accuracy of a logistic regression on the code, over all seeds. The "
        "baselines are the same network trained end to end for the same number of epochs, PCA "
        "with the same number of components, the untrained network and, for the probe, all 64 "
        "pixels."
    ),
    limits=(
        "The model has three layers and about 1,250 training digits: the fact that "
        "layer-by-layer training is not better here says nothing about deeper networks. Digits "
        "are split by their pixels and not by their writers, so results for new writers may be "
        "worse."
    ),
    ethics=(
        "The digits are published without the names of their writers. A code may preserve traces "
        "of a person's handwriting, so encoding does not make data anonymous."
    ),
    command="regrow predict stacked-autoencoder digit.png",
    pipeline_tag="image-feature-extraction",
    tags=("autoencoder", "digits", "dimensionality-reduction"),
)
