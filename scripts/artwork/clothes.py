"""What people wear: a torso, and what lies on it."""

from __future__ import annotations

import skia

from scripts.artwork.brush import Brush, both, linear, path


def _torso(half: float, neck: float = 92) -> skia.Path:
    left, right = 512 - half, 512 + half
    return path(
        f"M{left} 1030 C{left + 8} 908 {left + 80} 862 {512 - neck - 110} 834 C{512 - neck - 46} 816 {512 - neck - 8} 804 {512 - neck} 786 "
        f"C{512 - neck + 10} 860 {512 + neck - 10} 860 {512 + neck} 786 "
        f"C{512 + neck + 8} 804 {512 + neck + 46} 816 {512 + neck + 110} 834 C{right - 80} 862 {right - 8} 908 {right} 1030 Z"
    )


def _cloth(brush: Brush, shape: skia.Path, light: str, dark: str) -> None:
    brush.fill(shape, linear((330, 780), (640, 1030), ((0, light), (1, dark))))
    with brush.inside(shape):
        for fold in both("M250 870 C262 920 258 980 250 1030"):
            brush.stroke(fold, dark + "B0", 12, blur=9)
        for fold in both("M176 900 C190 946 192 990 190 1030"):
            brush.stroke(fold, light + "80", 10, blur=9)


def blazer(brush: Brush, light: str, dark: str, shirt: str, shirt_dark: str) -> None:
    """A blazer over an open collar."""
    _cloth(brush, _torso(396), light, dark)
    opening = path("M414 790 C436 842 588 842 610 790 C642 860 622 960 590 1030 L434 1030 C402 960 382 860 414 790 Z")
    brush.fill(opening, linear((0, 800), (0, 1030), ((0, shirt), (1, shirt_dark))))
    for collar in both("M418 782 C400 798 396 812 400 828 L468 926 L512 902 C474 880 436 846 418 782 Z"):
        brush.fill(collar, shirt_dark + "A0", blur=5)
        brush.fill(collar, linear((400, 790), (490, 920), ((0, "#FFFFFF"), (1, shirt_dark))))
    for lapel in both("M396 800 C352 822 334 838 326 860 L376 898 L350 922 L486 1030 L516 1030 L470 940 L400 836 Z"):
        brush.fill(lapel, dark + "B0", blur=6)
        brush.fill(lapel, linear((330, 810), (480, 1030), ((0, light), (1, dark))))
        brush.stroke(lapel, dark + "C0", 2, blur=0.8)


def shirt(brush: Brush, light: str, dark: str) -> None:
    """A buttoned shirt with its collar open."""
    _cloth(brush, _torso(408, 96), light, dark)
    for collar in both("M412 776 C392 792 382 812 384 834 L456 950 L506 892 C462 872 430 838 412 776 Z"):
        brush.fill(collar, dark + "D0", blur=8)
        brush.fill(collar, linear((390, 790), (480, 940), ((0, light), (1, dark))))
        brush.stroke(collar, dark + "B0", 2.2, blur=0.8)
    brush.stroke(path("M512 912 L512 1030"), dark + "C0", 3, blur=1)
    brush.stroke(path("M527 912 L527 1030"), dark + "80", 2, blur=1)
    for y in (946, 1000):
        brush.oval(519, y, 6, 6, dark)
        brush.oval(518, y - 1, 4.5, 4.5, "#F2F4F6")


def hoodie(brush: Brush, light: str, dark: str, cord: str) -> None:
    """A hooded sweater."""
    for hood in both("M430 760 C372 776 326 812 318 872 C380 930 450 944 512 948 L512 872 C470 858 440 820 430 760 Z"):
        brush.fill(hood, dark)
    _cloth(brush, _torso(404, 100), light, dark)
    for hood in both("M412 772 C352 792 318 830 320 872 C356 934 440 960 512 962 L512 884 C458 872 420 836 412 772 Z"):
        brush.fill(hood, dark + "C0", blur=9)
        brush.fill(hood, linear((330, 790), (512, 960), ((0, light), (1, dark))))
    for fold in both("M352 850 C392 904 450 930 506 936"):
        brush.stroke(fold, dark + "A0", 6, blur=5)
    for string in both("M462 936 C458 966 462 1000 456 1030"):
        brush.stroke(string, dark + "90", 10, blur=5)
        brush.stroke(string, cord, 6)


def sweater(brush: Brush, light: str, dark: str) -> None:
    """A fine sweater with a round neck, and a necklace of pearls."""
    _cloth(brush, _torso(384, 124), light, dark)
    rim = path("M386 792 C400 900 624 900 638 792")
    brush.stroke(rim, dark + "D0", 22, blur=5)
    brush.stroke(rim, light, 15)
    brush.stroke(rim, dark + "50", 3, blur=1)
    for i in range(17):
        share = (i - 8) / 8
        brush.oval(512 + 96 * share, 842 - 44 * share * share, 7.5, 7.5, "#8A7F7466", blur=3)
        brush.oval(512 + 96 * share, 840 - 44 * share * share, 7, 7, "#F4EEE6")
        brush.oval(510 + 96 * share, 838 - 44 * share * share, 2.4, 2.4, "#FFFFFF", blur=0.6)


def blouse(brush: Brush, light: str, dark: str) -> None:
    """A bright blouse with a wrapped neck."""
    _cloth(brush, _torso(386, 106), light, dark)
    for wrap in both("M400 788 C372 812 360 842 372 870 L500 1030 L560 1030 C520 960 440 900 400 788 Z"):
        brush.fill(wrap, dark + "B0", blur=8)
        brush.fill(wrap, linear((370, 800), (520, 1030), ((0, light), (1, dark))))
        brush.stroke(wrap, dark + "70", 2, blur=1)
