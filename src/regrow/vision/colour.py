"""Colours as sRGB: a picture's own colour profile is applied, as a viewer does."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Convert = Callable[["Picture"], "Picture"]
# The modes that profiles of a colour space are for.
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
GREY_MODES = ("1", "L", "LA")
IGNORED = "its colour profile is not valid and was ignored; colours may be inaccurate"
DEEP = (
    "its colour profile was ignored, as profiles are applied only to unsigned 8-bit pictures; "
    "the brightness may be inaccurate"
)


def plan_conversion(picture: Picture, *, deep: bool = False) -> tuple[Convert, str]:
    """How parts of a picture become sRGB, and what a person must know of it; mostly nothing.

    Args:
        deep: whether its numbers are not unsigned ones of eight bits, and are scaled instead.

    A profile that is damaged or is for another kind of picture is ignored, as viewers do.
    """
    from PIL import Image, ImageCms

    profile = picture.info.get("icc_profile")
    if not profile and picture.mode != "LAB":
        return _keep, ""
    if deep:
        return _keep, DEEP
    try:
        if profile:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            mode = MODES.get(source.profile.xcolor_space.strip(), "")
        else:
            source, mode = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB"
        if not _fits(mode, picture.mode):
            return _keep, IGNORED
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return _keep, IGNORED

    def convert(part: Image.Image) -> Image.Image:
        converted = transform.apply(part.convert(mode))
        if part.has_transparency_data:
            converted.putalpha(part.convert("RGBA").getchannel("A"))
        return converted

    return convert, ""


def _fits(profile_mode: str, mode: str) -> bool:
    if profile_mode in ("CMYK", "LAB"):
        return mode == profile_mode
    if profile_mode == "L":
        return mode in GREY_MODES
    return profile_mode == "RGB" and mode not in ("CMYK", "LAB")


def _keep(part: Picture) -> Picture:
    return part
