"""The head without eyes and mouth: neck, ears, face, nose, and the light on them."""

from __future__ import annotations

import skia

from scripts.artwork.brush import MIDDLE_X, Brush, both, linear, path, radial
from scripts.artwork.person import Build, Person


def face_path(build: Build) -> skia.Path:
    """Return the outline of the face."""
    right, left = MIDDLE_X + build.cheek, MIDDLE_X - build.cheek
    jaw_right, jaw_left = MIDDLE_X + build.jaw, MIDDLE_X - build.jaw
    chin_right, chin_left, y = MIDDLE_X + build.chin, MIDDLE_X - build.chin, build.chin_y
    return path(
        f"M512 224 C{left + 48} 224 {left + 2} 310 {left} 430 "
        f"C{left - 1} 500 {left + 6} 560 {jaw_left} 620 "
        f"C{jaw_left + 20} 676 {chin_left} {y} 512 {y} "
        f"C{chin_right} {y} {jaw_right - 20} 676 {jaw_right} 620 "
        f"C{right - 6} 560 {right + 1} 500 {right} 430 "
        f"C{right - 2} 310 {right - 48} 224 512 224 Z"
    )


def draw_neck(brush: Brush, person: Person) -> None:
    """Draw the neck down to the collar bones, in the shadow of the jaw."""
    skin, half = person.skin, person.build.neck
    left, right = MIDDLE_X - half, MIDDLE_X + half
    neck = path(
        f"M{left} 620 L{left} 762 C{left} 806 {left - 60} 822 {left - 130} 846 "
        f"L512 1000 L{right + 130} 846 C{right + 60} 822 {right} 806 {right} 762 L{right} 620 Z"
    )
    brush.fill(neck, linear((left, 0), (right, 0), ((0, skin.dark), (0.45, skin.middle), (1, skin.dark))))
    with brush.inside(neck):
        brush.oval(MIDDLE_X, 690, half + 42, 108, skin.shadow + "B8", blur=20)
        for line in both(f"M{left + 22} 776 C{left + 40} 830 {MIDDLE_X - 34} 872 {MIDDLE_X - 14} 902"):
            brush.stroke(line, skin.shadow + "50", 7, blur=6)
        for bone in both(f"M{left - 96} 868 C{left - 30} 858 {MIDDLE_X - 60} 880 {MIDDLE_X - 26} 908"):
            brush.stroke(bone, skin.highlight + "50", 6, blur=5)


def draw_ears(brush: Brush, person: Person) -> None:
    """Draw the ears, half behind the face."""
    edge, skin = MIDDLE_X - person.build.cheek, person.skin
    for ear in both(
        f"M{edge + 8} 452 C{edge - 18} 432 {edge - 30} 466 {edge - 22} 508 "
        f"C{edge - 16} 546 {edge + 4} 566 {edge + 16} 552 Z"
    ):
        brush.fill(ear, skin.dark)
        with brush.inside(ear):
            brush.fill(ear, skin.middle + "A0", blur=8)
    for curl in both(f"M{edge - 4} 466 C{edge - 20} 470 {edge - 16} 508 {edge - 4} 532"):
        brush.stroke(curl, skin.shadow + "90", 4, blur=2)


def draw_face(brush: Brush, person: Person) -> None:
    """Draw the face and the light on it: from above, a little from the left."""
    skin, outline = person.skin, face_path(person.build)
    lit = radial((478, 410), 370, ((0, skin.light), (0.55, skin.middle), (1, skin.dark)))
    brush.fill(outline, lit)
    with brush.inside(outline):
        brush.stroke(outline, skin.shadow + "78", 30, blur=20)
        brush.fill(path("M300 200 L724 200 L724 300 C640 250 384 250 300 300 Z"), skin.shadow + "60", blur=22)
        brush.oval(500, 340, 92, 52, skin.highlight + "58", blur=30)
        brush.ovals(404, 588, 52, 42, skin.blush + "58", blur=24)
        brush.ovals(416, 548, 40, 17, skin.highlight + "48", blur=14)
        _shade_sockets(brush, person)
        _shade_mouth(brush, person)
        _draw_nose(brush, person)
        _draw_age(brush, person)


def _shade_sockets(brush: Brush, person: Person) -> None:
    shadow = person.skin.shadow
    for socket in both("M366 468 C386 424 446 420 482 458 C470 438 482 424 474 414 C436 408 388 416 366 468 Z"):
        brush.fill(socket, shadow + "50", blur=11)
    for inner in both("M488 440 C482 480 478 512 470 548"):
        brush.stroke(inner, shadow + "46", 13, blur=8)
    for under in both("M392 504 C418 522 452 520 474 506"):
        brush.stroke(under, shadow + "40", 5, blur=4)


def _shade_mouth(brush: Brush, person: Person) -> None:
    skin, y = person.skin, person.build.chin_y
    brush.fill(path("M476 690 C496 700 528 700 548 690 C536 708 488 708 476 690 Z"), skin.shadow + "70", blur=7)
    brush.oval(MIDDLE_X, y - 26, 34, 17, skin.highlight + "50", blur=11)
    brush.stroke(path("M512 594 L512 610"), skin.shadow + "44", 10, blur=5)
    for fold in both("M446 588 C430 606 420 624 418 644"):
        brush.stroke(fold, skin.shadow + "34", 6, blur=6)


def _draw_nose(brush: Brush, person: Person) -> None:
    skin, half = person.skin, person.build.nose
    left, right = MIDDLE_X - half, MIDDLE_X + half
    brush.stroke(path("M509 424 C507 480 507 516 508 548"), skin.highlight + "78", 13, blur=7)
    brush.stroke(path("M530 436 C534 486 536 516 542 540"), skin.shadow + "3C", 12, blur=8)
    brush.oval(510, 556, half * 0.58, 21, skin.highlight + "68", blur=9)
    for wing in both(f"M{left + 4} 574 C{left - 7} 566 {left - 4} 546 {left + 9} 543"):
        brush.stroke(wing, skin.shadow + "96", 4, blur=2.2)
    base = f"M{left + 4} 575 C{left + 16} 587 500 582 512 589 C524 582 {right - 16} 587 {right - 4} 575"
    brush.stroke(path(base), skin.shadow + "82", 4, blur=2.6)
    brush.ovals(MIDDLE_X - half * 0.5, 576, half * 0.24, 4.6, skin.shadow + "D0", blur=2)


def _draw_age(brush: Brush, person: Person) -> None:
    ink = person.skin.shadow + f"{int(0x78 * person.age):02X}"
    if person.age <= 0:
        return
    for line in both("M452 592 C430 612 418 636 414 660"):
        brush.stroke(line, ink, 4.5, blur=3)
    for line in both("M360 488 C352 492 346 498 342 506"):
        brush.stroke(line, ink, 2.5, blur=1.5)
    for line in both("M398 520 C420 532 446 530 464 520"):
        brush.stroke(line, ink, 3, blur=2)
    for y in (318, 344):
        brush.stroke(path(f"M440 {y} C480 {y - 8} 544 {y - 8} 584 {y}"), ink, 3, blur=3)
