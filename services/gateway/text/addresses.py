"""Web and mail addresses, and telephone numbers, read part by part."""

from __future__ import annotations

import re

from services.gateway.text.locales import END, START, Locale

_TOP_LEVELS = (
    "com|org|net|edu|gov|info|io|ai|app|dev|eu|de|fr|it|es|pt|br|ru|cn|jp|kr|uk|us|ch|at|ca|au|mx|co|me|tv|biz|xyz"
)
_MAIL = r"(?<![\w.+-])[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
_LINK = r"(?:https?://|(?<![\w.@/-])www\.)[!#-;=?-~]*[A-Za-z0-9/_=&%#~-]"
_DOMAIN = (
    rf"(?<![A-Za-z0-9_.@/-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,8}}(?:{_TOP_LEVELS})(?![A-Za-z0-9_-]|\.[A-Za-z0-9])"
    r"(?:/(?:[!#-;=?-~]*[A-Za-z0-9/_=&%#~-])?)?"
)
_ADDRESS = re.compile(f"{_LINK}|{_MAIL}|{_DOMAIN}")
_SCHEME = re.compile(r"^(?:https?://)?(?:www\.)?")
_QUERY = re.compile(r"[?#].*")
_SIGNS = {".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", "+": "plus"}
_ENGLISH = {name: name for name in _SIGNS.values()}
_COUNTRY = re.compile(r"(?<=\.)[a-z]{2}(?=/|$)")

_TELEPHONE = re.compile(
    rf"{START}(?:\+\d{{1,3}}[ .-]?)?(?:\(\d{{1,5}}\)[ -]?)?\d{{1,5}}(?:[ .-]\d{{2,8}}){{0,5}}"
    rf"(?![ .,-]?\d|[%°€$£¥₩₽]){END}"
    rf"|{START}\+\d{{7,15}}{END}|{START}[01]\d{{9,10}}{END}"
)
_PARTS = re.compile(r"\d+")
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15


def read_addresses(text: str, locale: Locale | None) -> str:
    """Return `text` with its addresses in words; what follows `?` or `#` is for machines and left out.

    Where the language is not known the signs have their English names.
    """
    return _ADDRESS.sub(lambda match: _address(match[0], locale), text)


def read_telephones(text: str, locale: Locale) -> str:
    """Return `text` with its telephone numbers digit by digit."""
    return _TELEPHONE.sub(lambda match: telephone(match[0], locale) if _is_telephone(match[0]) else match[0], text)


def telephone(text: str, locale: Locale) -> str:
    """Return the digits of `text` one by one, with a comma between its groups."""
    between = "、" if locale.language == "ja" else "，" if locale.language == "zh" else ", "
    said = between.join(locale.digits(part, "telephone") for part in _PARTS.findall(text))
    return " ".join(filter(None, (locale.word("plus") if text.startswith("+") else "", said)))


def _address(address: str, locale: Locale | None) -> str:
    address = _QUERY.sub("", _SCHEME.sub("", address)).rstrip("/")
    address = _COUNTRY.sub(lambda match: match[0].upper(), address)  # letters, not a word: IO, DE
    pieces = []
    for piece in re.split(r"([^A-Za-z0-9])", address):
        name = _SIGNS.get(piece)
        pieces.append((locale.word(name) if locale else _ENGLISH[name]) if name else piece if piece.isalnum() else "")
    return " ".join(filter(None, pieces))


def _is_telephone(text: str) -> bool:
    parts = _PARTS.findall(text)
    if not _FEWEST_DIGITS <= sum(map(len, parts)) <= _MOST_DIGITS:
        return False
    if text[0] in "+(" or (text[0] == "0" and len(parts[0]) > 1):
        return True
    dashes = text.count("-")
    return dashes > 1 or (len(parts) == 1 and len(text) == 11) or (dashes == 1 and list(map(len, parts)) == [3, 4])
