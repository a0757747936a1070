"""What the model card of style-transfer says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To redraw the content of a photo in the style of one or several other pictures, for art "
        "and teaching, and to study how Gram matrices of a network's features represent style."
    ),
    out_of_scope=(
        "Presenting the result as the work of an artist or as a photograph, and any measurements "
        "on it: shapes, colours and text in the photo are changed."
    ),
    data=(
        "The model is not trained on a data set: it optimises the pixels of each picture towards "
        "one photo and its styles, by default a photo of Beijing's Summer Palace and a photo of "
        "a dahlia. Features come from MobileNet v1 or VGG, trained on ImageNet, or from seeded "
        "random weights if selected in the settings."
    ),
    evaluation=(
        "The loss of each finished picture and its terms (relative errors of content and style, "
        "and the total variation) are compared with those of the original photo and of the style "
        "itself at the same size. A small reference run with a fixed seed is used to compare "
        "machines and versions."
    ),
    limits=(
        "The loss measures the distance between features, not artistic quality. It depends on "
        "the weights, layers and size in the settings, so only pictures of the same backbone "
        "compete. Style elements larger than the receptive field of the deepest layer, such as "
        "the composition, are not transferred."
    ),
    ethics=(
        "A style can be the livelihood of a living artist: ask before you imitate it, credit the "
        "works that you use, and comply with the licences of photo and style. The features of "
        "the backbone come from ImageNet, whose photos were collected from the web without the "
        "consent of the people in them."
    ),
    command="regrow stylize photo.jpg painting.jpg -o out.png",
    pipeline_tag="image-to-image",
    tags=("style-transfer", "art", "gram-matrix"),
)
