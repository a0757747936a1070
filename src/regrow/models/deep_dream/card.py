"""What the model card of deep-dream says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To make pictures in which a trained network sees more of what its layers or channels "
        "answer to, for art, for teaching and to look into networks."
    ),
    out_of_scope=(
        "Evidence of what a photo shows, explanations of a network's decisions in single cases, "
        "and any use that passes the picture off as a photograph."
    ),
    data=(
        "No data set is learned from: the pixels of one or several photos are optimised, by "
        "default a photo of Beijing's Summer Palace. What can appear comes from the backbone, "
        "MobileNet v1 or VGG, which was trained on ImageNet's photos and categories, or from "
        "seeded random weights if the settings ask for them."
    ),
    evaluation=(
        "The objective of each finished picture, the mean activation of the chosen layers, beside "
        "that of the photo and of the photo with as much random noise as the dream has changed "
        "it. A small reference run with a fixed seed compares machines and versions."
    ),
    limits=(
        "The objective says how far the ascent came and nothing about how a picture looks. It "
        "cannot be compared between layers, channels or backbones, so these have champions of "
        "their own. Patterns depend on the size of the picture and on the octaves."
    ),
    ethics=(
        "ImageNet's categories decide what is seen, many of them breeds of animals; its photos "
        "were gathered from the web, and people in them were not asked. Use photos that you may "
        "change, keep to their licences, and ask people before their faces are altered."
    ),
    command="regrow dream photo.jpg -o dream.jpg",
    pipeline_tag="image-to-image",
    tags=("deep-dream", "art", "gradient-ascent"),
)
