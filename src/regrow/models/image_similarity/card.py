"""What the model card of image-similarity says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To decide whether two pictures show the same handwritten digit, and to study Siamese "
        "networks with a contrastive loss."
    ),
    out_of_scope=(
        "Verification of persons, signatures or the identity of a writer: the network learns to "
        "ignore who wrote a digit. Letters, signs and photographs."
    ),
    data=(
        "1,797 digits of 8 x 8 pixels, the test set of Optical Recognition of Handwritten Digits "
        "(E. Alpaydin and C. Kaynak, Bogazici University, 1998) as included in scikit-learn, "
        "written by 13 people on preprinted forms. Training digits are augmented with slightly "
        "rotated, sheared, scaled and shifted copies."
    ),
    evaluation=(
        "The model is evaluated on pairs from the test split, half of which show the same digit. "
        "Pictures are split by the digest of their pixels, so no picture is in two splits. All "
        "thresholds, including those of the baselines, are chosen on the same validation pairs. "
        "The baselines are distances between pixels, principal components and linear "
        "discriminants."
    ),
    limits=(
        "The file does not identify the writers, so the same 13 writers occur in all splits, and "
        "the results do not show how well the model handles other handwriting. All pictures are "
        "small scans of the same form; photographs are converted to this format first, which may "
        "fail."
    ),
    ethics=(
        "The digits are published without names or other information about the writers. With 13 "
        "writers from a single collection, styles of handwriting that are common elsewhere may "
        "be missing, and people who write this way would experience more errors."
    ),
    command="regrow predict image-similarity a.png b.png",
    pipeline_tag="image-feature-extraction",
    tags=("siamese-network", "digits", "contrastive-loss"),
)
