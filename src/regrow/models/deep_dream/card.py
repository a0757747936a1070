"""What the model card of deep-dream says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To create pictures that amplify the patterns to which the layers or channels of a "
        "trained network respond, for art, teaching and the study of networks."
    ),
    out_of_scope=(
        "Evidence of what a photo shows, explanations of individual decisions of a network, and "
        "any use that presents the picture as a photograph."
    ),
    data=(
        "The model is not trained on a data set: it optimises the pixels of one or more photos, "
        "by default a photo of Beijing's Summer Palace. The patterns come from the backbone, "
        "MobileNet v1 or VGG, which was trained on the photos and categories of ImageNet, or "
        "from seeded random weights if selected in the settings."
    ),
    evaluation=(
        "The objective of each finished picture, which is the mean activation of the selected "
        "layers, is compared with that of the photo and of the photo with random noise of the "
        "same strength as the change. A small reference run with a fixed seed is used to compare "
        "machines and versions."
    ),
    limits=(
        "The objective measures the progress of the ascent, not the appearance of a picture. It "
        "is not comparable between layers, channels or backbones, so each of these has its own "
        "champion. Patterns depend on the size of the picture and on the octaves."
    ),
    ethics=(
        "The patterns reflect the categories of ImageNet, many of which are animal breeds; its "
        "photos were collected from the web without the consent of the people in them. Only use "
        "photos that you are allowed to change, comply with their licences, and ask people "
        "before you alter their faces."
    ),
    command="regrow dream photo.jpg -o dream.jpg",
    pipeline_tag="image-to-image",
    tags=("deep-dream", "art", "gradient-ascent"),
)
