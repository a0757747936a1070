"""What the model card of style-transfer says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To redraw the content of a photo in the style of one or several other pictures, for art "
        "and teaching, and to study what Gram matrices of a network's features hold of a style."
    ),
    out_of_scope=(
        "Passing the result off as the work of an artist or as a photograph, and any measurement "
        "on it: shapes, colours and texts of the photo are changed."
    ),
    data=(
        "No data set is learned from: the pixels of each picture are optimised towards one photo "
        "and its styles, by default a photo of Beijing's Summer Palace and one of a dahlia. "
        "Features come from MobileNet v1 or VGG, trained on ImageNet, or from seeded random "
        "weights if the settings ask for them."
    ),
    evaluation=(
        "The loss of each finished picture and its terms, relative errors of content and style "
        "and the total variation, beside those of the untouched photo and of the style itself in "
        "the same size. A small reference run with a fixed seed compares machines and versions."
    ),
    limits=(
        "The loss says how near the features are and nothing about taste. It depends on the "
        "weights, layers and size in the settings, so only pictures of one backbone compete. "
        "Styles larger than the deepest layer's view, such as a composition, are not carried "
        "over."
    ),
    ethics=(
        "A style can be a living artist's livelihood: ask before you imitate it, name what was "
        "used, and keep to the licences of photo and style. The backbone's features come from "
        "ImageNet, whose photos were gathered from the web without asking the people in them."
    ),
    command="regrow stylize photo.jpg painting.jpg -o out.png",
    pipeline_tag="image-to-image",
    tags=("style-transfer", "art", "gram-matrix"),
)
