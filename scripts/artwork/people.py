"""The cast."""

from __future__ import annotations

from functools import partial

from scripts.artwork import clothes, hair
from scripts.artwork.brush import Brush, both, path
from scripts.artwork.hair import HairInk
from scripts.artwork.head import face_path
from scripts.artwork.person import BrowLook, Build, EyeLook, LipLook, Person, Skin


def _nothing(brush: Brush) -> None:
    """No layer."""


def _glasses(brush: Brush) -> None:
    for rim in both(
        "M366 462 C366 432 392 424 432 424 C474 424 494 434 492 466 C490 508 466 522 428 522 C388 522 368 504 366 462 Z"
    ):
        brush.fill(rim, "#FFFFFF14")
        brush.stroke(rim, "#00000038", 7, blur=4)
        brush.stroke(rim, "#5A3A34", 5)
        brush.stroke(rim, "#B98C7C80", 1.5)
    brush.stroke(path("M492 456 C502 446 522 446 532 456"), "#5A3A34", 5)
    for arm in both("M366 452 L344 446"):
        brush.stroke(arm, "#5A3A34", 5)


def _freckles(brush: Brush) -> None:
    import random

    spots = random.Random(3)
    for _ in range(70):
        x, y = spots.gauss(512, 70), spots.gauss(556, 22)
        brush.oval(x, y, spots.uniform(1.2, 2.6), spots.uniform(1.2, 2.4), "#B5714A58", blur=0.8)


def _maya() -> Person:
    ink = HairInk("#2C1A15", "#4B2F25", "#80553F")
    return Person(
        name="maya",
        title="Maya",
        voice="female",
        skin=Skin("#F6D2B4", "#EBB792", "#D49A75", "#9A5638", "#E2766A", "#FFEBDA"),
        build=Build(),
        eyes=EyeLook("#8A5A34", "#4A2C18"),
        brows=BrowLook("#4A2E24", 17, 3),
        lips=LipLook("#B95B58", "#C96E68", "#6A2828", "#FFD8CF"),
        behind=partial(hair.long_behind, ink=ink),
        clothes=partial(clothes.blazer, light="#3F6590", dark="#223B58", shirt="#FBFCFD", shirt_dark="#D5DEE6"),
        on_face=_nothing,
        in_front=partial(hair.long_front, ink=ink),
        backdrop=("#E6EEF2", "#BCD0DB", "#86A3B6"),
    )


def _omar() -> Person:
    ink = HairInk("#15100E", "#2A201C", "#5A463A")
    build = Build(cheek=170, jaw=150, chin=78, chin_y=750, neck=96, nose=45, shoulder=420)
    return Person(
        name="omar",
        title="Omar",
        voice="male",
        skin=Skin("#D9A27A", "#C48A62", "#A06A48", "#5E3420", "#B05A44", "#F2CBA6"),
        build=build,
        eyes=EyeLook("#6B4326", "#2E1A0E", tall=34, tilt=2, fold=0.9, lashes=0.5, line="#1C100C"),
        brows=BrowLook("#1A1210", 19, 1, -2),
        lips=LipLook("#9C5A4C", "#AA6A5A", "#4A1F1A", "#E8B8A4", half=72, upper=15, lower=25),
        behind=_nothing,
        clothes=partial(clothes.shirt, light="#F1F4F7", dark="#B4C2CF"),
        on_face=partial(hair.beard, ink=ink, outline=face_path(build)),
        in_front=partial(hair.short_cap, ink=ink),
        backdrop=("#F1EAE0", "#D8C7B2", "#A48E76"),
    )


def _grace() -> Person:
    ink = HairInk("#8E9298", "#C3C7CC", "#F2F3F5")
    return Person(
        name="grace",
        title="Grace",
        voice="female",
        skin=Skin("#F4D8C6", "#E9BFA8", "#CF9D85", "#96604C", "#DC8078", "#FFF0E6"),
        build=Build(cheek=164, jaw=142, chin=64, chin_y=738),
        eyes=EyeLook("#5E8298", "#33505F", tall=33, tilt=-1, fold=1.0, lashes=0.6, line="#40302C"),
        brows=BrowLook("#8A8078", 14, 2, 2),
        lips=LipLook("#B4605E", "#C0726C", "#6E3232", "#FFD8D0", half=72, upper=14, lower=24),
        behind=partial(hair.bob_behind, ink=ink),
        clothes=partial(clothes.sweater, light="#7E5A78", dark="#4C3349"),
        on_face=_glasses,
        in_front=partial(hair.bob_front, ink=ink),
        backdrop=("#F3EEF2", "#D9CBD6", "#A793A4"),
        age=0.55,
    )


def _kenji() -> Person:
    ink = HairInk("#0F0E12", "#211F26", "#4C4A58")
    return Person(
        name="kenji",
        title="Kenji",
        voice="male",
        skin=Skin("#F7DCBE", "#EDC49C", "#D6A57C", "#9C6440", "#E08A70", "#FFF0DC"),
        build=Build(cheek=168, jaw=140, chin=66, chin_y=740, neck=88, nose=40),
        eyes=EyeLook("#4A2E1E", "#20120C", tall=29, tilt=7, wide=92, fold=0.35, lashes=0.4, line="#1A1210"),
        brows=BrowLook("#1C181A", 15, 2, 0),
        lips=LipLook("#C07A6A", "#CE8C7C", "#70382E", "#FFDCCB", half=68, upper=15, lower=25),
        behind=partial(hair.fringe_behind, ink=ink),
        clothes=partial(clothes.hoodie, light="#5E8F7B", dark="#34574A", cord="#EDF2EE"),
        on_face=_nothing,
        in_front=partial(hair.fringe, ink=ink),
        backdrop=("#EAF1EC", "#C2D5C9", "#8BA596"),
    )


def _amara() -> Person:
    ink = HairInk("#17100E", "#33231E", "#6E4E40")
    return Person(
        name="amara",
        title="Amara",
        voice="female",
        skin=Skin("#A96F4C", "#8E5636", "#6C3C24", "#3A1C10", "#A0432F", "#D9A27C"),
        build=Build(cheek=164, jaw=138, chin=62, chin_y=740, nose=46),
        eyes=EyeLook("#5A3620", "#24130B", tall=38, tilt=5, lashes=1.0, line="#120A08"),
        brows=BrowLook("#15100E", 17, 5),
        lips=LipLook("#8E4440", "#A85850", "#451A1A", "#E8A898", half=77, upper=23, lower=34),
        behind=partial(hair.curls_behind, ink=ink),
        clothes=partial(clothes.blouse, light="#F2B33D", dark="#B9761C"),
        on_face=_nothing,
        in_front=partial(hair.curls_front, ink=ink),
        backdrop=("#E4F0F1", "#AFD0D2", "#6F9EA2"),
    )


def cast() -> tuple[Person, ...]:
    """Return everybody."""
    return _maya(), _omar(), _grace(), _kenji(), _amara()
