"""What the model card of image-similarity says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To decide whether two pictures show the same handwritten digit, and to study Siamese "
        "networks with a contrastive loss."
    ),
    out_of_scope=(
        "Verification of persons, of signatures or of a writer's identity: the network learns to "
        "ignore who wrote a digit. Letters, signs and photographs."
    ),
    data=(
        "1,797 digits of 8 x 8 pixels, the test set of Optical Recognition of Handwritten Digits "
        "(E. Alpaydin and C. Kaynak, Bogazici University, 1998) as scikit-learn brings it, "
        "written by 13 people on preprinted forms. Training digits come with copies that are "
        "turned, sheared, scaled and shifted a little."
    ),
    evaluation=(
        "On pairs of digits of the test split, half of them of the same digit. Splits are made by "
        "the digest of the pixels, so no picture is in two of them. Every threshold, the "
        "baselines' too, is chosen on the same validation pairs; the baselines are distances of "
        "pixels, of principal components and of linear discriminants."
    ),
    limits=(
        "The file does not say who wrote what, so the same 13 writers are in all splits and the "
        "figures do not tell how well other hands are compared. The pictures are small scans of "
        "one form and process; photographs are brought into their form first, which may fail."
    ),
    ethics=(
        "The digits are published without their writers' names and nothing else about them. With "
        "13 writers of one university's collection, ways to write digits that are usual elsewhere "
        "may be missing, and people who write so would meet more errors."
    ),
    command="regrow predict image-similarity a.png b.png",
    pipeline_tag="image-feature-extraction",
    tags=("siamese-network", "digits", "contrastive-loss"),
)
