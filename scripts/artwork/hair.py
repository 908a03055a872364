"""Hair: a shape behind the head, a shape in front, and strands of light and dark along it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import skia

from scripts.artwork.brush import Brush, both, linear, mirrored, path


@dataclass(frozen=True)
class HairInk:
    """Colours of the hair, from shaded to lit."""

    dark: str
    middle: str
    light: str


def _body(brush: Brush, shape: skia.Path, ink: HairInk, top: float, bottom: float) -> None:
    stops = ((0, ink.light), (0.3, ink.middle), (1, ink.dark))
    brush.fill(shape, ink.dark + "60", blur=5)
    brush.fill(shape, linear((420, top), (560, bottom), stops))


def _strands(brush: Brush, shape: skia.Path, ink: HairInk, lines: Sequence[str], width: float = 5) -> None:
    with brush.inside(shape):
        for number, line in enumerate(lines):
            tone = ink.light if number % 2 == 0 else ink.dark
            brush.stroke(path(line), tone + ("66" if number % 2 == 0 else "80"), width, blur=3)
            brush.stroke(path(line), tone + "58", width * 0.35, blur=0.8)


def long_behind(brush: Brush, ink: HairInk) -> None:
    """Long hair behind head and shoulders."""
    shape = path(
        "M512 150 C356 146 286 270 288 430 C288 560 272 690 290 800 C320 872 420 880 512 880 "
        "C604 880 704 872 734 800 C752 690 736 560 736 430 C738 270 668 146 512 150 Z"
    )
    brush.fill(shape, linear((280, 0), (744, 0), ((0, ink.dark), (0.5, ink.dark), (1, ink.dark))))
    strands = [f"M{x} 420 C{x - 10} 560 {x - 6} 700 {x + (512 - x) * 0.06} 850" for x in (304, 322, 342, 682, 702, 720)]
    _strands(brush, shape, ink, strands, 9)


def long_front(brush: Brush, ink: HairInk) -> None:
    """A side parting, and locks that fall beside the face."""
    left = path(
        "M556 176 C470 132 340 166 306 300 C282 400 300 520 296 640 C294 720 282 772 300 816 "
        "C324 770 336 700 338 620 C340 540 332 470 352 404 C372 344 470 308 556 176 Z"
    )
    right = path(
        "M548 178 C640 150 708 214 724 320 C738 420 724 520 730 640 C732 720 744 770 726 816 "
        "C700 770 690 700 688 620 C688 540 694 470 680 408 C664 338 606 276 548 178 Z"
    )
    for lock in (left, right):
        brush.fill(lock, ink.dark + "70", blur=12)
    brush.fill(path("M552 166 L484 244 Q530 216 556 214 Q584 220 612 248 Z"), ink.middle)
    for lock in (left, right):
        _body(brush, lock, ink, 150, 640)
    sweep = [
        f"M{554 - i * 3} {184 + i * 5} C{470 - i * 14} {216 + i * 9} {372 - i * 6} {286 + i * 13} {322 - i} {420 + i * 18}"
        for i in range(9)
    ]
    fall = [f"M{308 + i * 8} {460 + i * 12} C{304 + i * 5} 560 {312 + i * 3} 680 {300 + i * 3} 790" for i in range(5)]
    _strands(brush, left, ink, sweep + fall)
    sweep = [
        f"M{556 + i * 5} {188 + i * 4} C{618 + i * 6} {216 + i * 8} {668 + i * 4} {300} {690 + i * 4} 430"
        for i in range(7)
    ]
    fall = [f"M{696 + i * 8} {450 + i * 12} C{700 + i * 4} 560 {696 + i * 6} 680 {716 + i * 2} 790" for i in range(4)]
    _strands(brush, right, ink, sweep + fall)


def short_cap(brush: Brush, ink: HairInk) -> None:
    """Short hair, combed up and back, with faded sides."""
    sides = path("M338 492 C328 420 330 330 372 262 L392 292 C372 330 360 400 358 452 C356 470 348 486 338 492 Z")
    for side in (sides, mirrored(sides)):
        brush.fill(side, ink.dark + "C8")
        brush.fill(side, ink.dark + "90", blur=4)
    top = path(
        "M352 366 C330 250 396 148 516 146 C636 148 700 250 672 366 C668 340 660 318 646 302 "
        "C618 278 580 272 540 276 C492 280 440 268 404 284 C372 300 358 334 352 366 Z"
    )
    brush.fill(top, ink.dark + "70", blur=10)
    _body(brush, top, ink, 150, 350)
    lines = [
        f"M{372 + i * 24} {318 - 34 * math.sin(math.pi * i / 12)} C{376 + i * 23} {246 - i * 2} {404 + i * 19} {190} {432 + i * 16} {164 + abs(i - 6) * 2}"
        for i in range(13)
    ]
    _strands(brush, top, ink, lines, 5)


def beard(brush: Brush, ink: HairInk, outline: skia.Path) -> None:
    """A trimmed beard along the jaw and around the mouth; the lips stay free."""
    shape = path(
        "M342 500 C352 590 366 636 384 664 C412 716 462 752 512 752 C562 752 612 716 640 664 C658 636 672 590 682 500 "
        "C672 560 652 600 620 618 C600 606 576 600 556 603 C536 596 524 600 512 602 C500 600 488 596 468 603 "
        "C448 600 424 606 404 618 C372 600 352 560 342 500 Z"
    )
    free = path(
        "M432 636 C446 622 470 612 488 611 C498 610 506 614 512 614 C518 614 526 610 536 611 C554 612 578 622 592 636 "
        "C580 664 548 680 512 680 C476 680 444 664 432 636 Z"
    )
    shape = skia.Op(shape, free, skia.PathOp.kDifference_PathOp)
    with brush.inside(outline):
        brush.fill(shape, ink.dark + "8C", blur=9)
        brush.fill(shape, ink.dark + "78", blur=3)
        hairs = random.Random(7)
        with brush.inside(shape):
            for _ in range(900):
                x, y = hairs.uniform(345, 680), hairs.uniform(520, 750)
                lean = (x - 512) / 40
                brush.stroke(path(f"M{x} {y} L{x + lean} {y + 9}"), ink.dark + "60", 1.5, blur=0.4)
    brush.stroke(path("M470 690 C490 700 534 700 554 690"), ink.dark + "60", 9, blur=5)


def fringe(brush: Brush, ink: HairInk) -> None:
    """Straight, layered hair with a fringe that falls in pointed locks."""
    crown = path(
        "M322 470 C300 300 352 150 514 146 C676 150 724 300 702 470 C694 440 690 400 676 366 "
        "C664 388 650 402 640 408 C642 388 636 366 626 350 C606 384 580 400 556 404 C562 388 560 370 554 356 "
        "C526 388 484 404 452 404 C462 390 464 374 462 360 C434 384 404 398 384 402 C390 388 390 374 388 362 "
        "C364 388 344 424 322 470 Z"
    )
    brush.fill(crown, ink.dark + "80", blur=11)
    _body(brush, crown, ink, 150, 420)
    lines = [
        f"M{500 + i * 3} {160 + abs(i) * 2} C{500 + i * 16} {210} {506 + i * 21} {290} {508 + i * 22} {400 + abs(i) * 6}"
        for i in range(-8, 9)
    ]
    _strands(brush, crown, ink, lines, 6)


def fringe_behind(brush: Brush, ink: HairInk) -> None:
    """The back of short, full hair."""
    brush.fill(
        path(
            "M318 470 C296 300 344 156 512 152 C680 156 728 300 706 470 C702 510 690 540 676 556 L348 556 C334 540 322 510 318 470 Z"
        ),
        ink.dark,
    )


def bob_behind(brush: Brush, ink: HairInk) -> None:
    """A chin-long bob behind the face."""
    shape = path(
        "M512 140 C350 138 284 262 292 430 C296 520 268 610 306 668 C352 712 420 700 512 700 "
        "C604 700 672 712 718 668 C756 610 728 520 732 430 C740 262 674 138 512 140 Z"
    )
    _body(brush, shape, HairInk(ink.dark, ink.dark, ink.middle), 140, 700)


def bob_front(brush: Brush, ink: HairInk) -> None:
    """A soft, wavy bob that opens from a side parting."""
    left = path(
        "M470 166 C372 168 302 246 300 380 C298 470 274 560 304 640 C318 668 344 660 352 632 C334 580 352 520 350 456 "
        "C350 384 402 330 470 296 C500 268 506 214 470 166 Z"
    )
    right = path(
        "M462 168 C600 120 706 210 722 360 C732 460 752 560 720 640 C706 668 680 660 672 632 C690 580 674 520 676 456 "
        "C676 372 600 340 540 296 C504 262 482 220 462 168 Z"
    )
    for lock in (left, right):
        brush.fill(lock, ink.dark + "88", blur=10)
    for lock in (left, right):
        _body(brush, lock, ink, 140, 620)
    waves = [
        f"M{468 - i * 4} {174 + i * 8} C{400 - i * 8} {214 + i * 10} {340 - i * 3} {300 + i * 14} {326 - i} {430 + i * 14} "
        f"C{334 - i} {500} {300 + i * 3} {560} {316 + i * 4} {640}"
        for i in range(7)
    ]
    _strands(brush, left, ink, waves)
    waves = [
        f"M{474 + i * 6} {176 + i * 3} C{570 + i * 10} {190 + i * 8} {660 + i * 5} {270 + i * 10} {690 + i * 3} {420 + i * 10} "
        f"C{682 + i * 3} {500} {722 - i * 3} {560} {704 - i * 4} {640}"
        for i in range(7)
    ]
    _strands(brush, right, ink, waves)


def curls_behind(brush: Brush, ink: HairInk) -> None:
    """A large round head of curls."""
    _cloud(brush, ink, 512, 372, 262, 250, 300, 11)


def curls_front(brush: Brush, ink: HairInk) -> None:
    """Curls along the hairline."""
    for side in both("M340 470 C326 400 340 320 392 282 C430 254 470 246 512 246"):
        brush.stroke(side, ink.dark + "A0", 30, blur=12)
    curls = random.Random(5)
    for i in range(64):
        turn = math.pi * (1.02 + 0.96 * i / 63)
        x, y = 512 + 186 * math.cos(turn), 440 + 208 * math.sin(turn)
        _curl(brush, ink, x + curls.uniform(-16, 16), y + curls.uniform(-16, 8), curls.uniform(13, 21), curls)


def _cloud(brush: Brush, ink: HairInk, x: float, y: float, rx: float, ry: float, count: int, seed: int) -> None:
    curls = random.Random(seed)
    brush.oval(x, y, rx - 14, ry - 14, ink.dark)
    for _ in range(count):
        turn, reach = curls.uniform(0, 2 * math.pi), math.sqrt(curls.uniform(0.35, 1.0))
        at_x, at_y = x + rx * reach * math.cos(turn), y + ry * reach * math.sin(turn)
        _curl(brush, ink, at_x, at_y, curls.uniform(16, 28), curls)


def _curl(brush: Brush, ink: HairInk, x: float, y: float, radius: float, curls: random.Random) -> None:
    brush.oval(x, y, radius, radius * 0.9, ink.dark)
    lit = max(0.0, min(1.0, 1.1 - (y - 140) / 480))
    for part in (1.0, 0.62):
        turn = curls.uniform(0, 2 * math.pi)
        ring = skia.Path()
        r = radius * part
        ring.addArc(skia.Rect.MakeLTRB(x - r, y - r, x + r, y + r), math.degrees(turn), 215)
        brush.stroke(ring, ink.middle + "B0", 3.6, blur=0.8)
        brush.stroke(ring, ink.light + f"{int(0x70 * lit):02X}", 1.8, blur=0.6)
