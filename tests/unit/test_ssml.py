"""SSML becomes spans, and what is not read is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contract.errors import InvalidRequest
from services.gateway.text.ssml import DEEPEST, MOST_SPANS, Span, parse_ssml

READ = [
    ("Hello world.", [Span("Hello world.")]),
    ("  a <!-- note --> b\n c ", [Span("a b c")]),
    ('a <break time="500ms"/> b', [Span("a"), Span("b", pause_before_s=0.5)]),
    ('<break time="1s"/>a<break strength="strong"/>', [Span("a", pause_before_s=1), Span("", pause_before_s=0.7)]),
    ('a<break time="1s"/><break time="2s"/>b', [Span("a"), Span("b", pause_before_s=3)]),
    ("<p><s>a</s> <s>b</s></p><p>c</p>", [Span("a"), Span("b", pause_before_s=0.24), Span("c", pause_before_s=0.5)]),
    ('<s>a</s><break strength="none"/><s>b</s>', [Span("a"), Span("b")]),
    ('<prosody rate="fast" pitch="-10%">a</prosody>', [Span("a", speed=1.25, pitch=0.9)]),
    ('<prosody rate="120%"><prosody rate="0.5" pitch="+12st">a</prosody></prosody>', [Span("a", speed=0.6, pitch=2)]),
    ("a <emphasis>b</emphasis> c", [Span("a"), Span("b", speed=0.9, pitch=1.05), Span("c")]),
    ('the <sub alias="World Wide Web Consortium">W3C</sub> says', [Span("the World Wide Web Consortium says")]),
    ('<phoneme alphabet="ipa" ph="təˈmɑːtəʊ">tomato</phoneme>', [Span("tomato", phonemes="təˈmɑːtəʊ")]),
    ('hi <lang xml:lang="fr">salut</lang>', [Span("hi"), Span("salut", language="fr")]),
    ("a &amp; b &lt;", [Span("a & b <")]),
    ("", []),
]

SAID = [
    ("cardinal", "", "en", "1,234", "one thousand two hundred thirty-four"),
    ("ordinal", "", "en", "3", "third"),
    ("ordinal", "", "ko", "3", "세 번째"),
    ("digits", "", "en", "2026", "two zero two six"),
    ("characters", "", "en", "ab1", "A B one"),
    ("characters", "", "", "ab1", "A B 1"),
    ("date", "dmy", "en", "3.4.2026", "April third, twenty twenty-six"),
    ("date", "", "de", "2026-11-20", "zwanzigster November zweitausendsechsundzwanzig"),
    ("time", "", "ja", "14:30", "十四時三十分"),
    ("telephone", "", "en", "555-1234", "five five five, one two three four"),
    ("cardinal", "", "xx", "12", "12"),
]

REFUSED = [
    ("plain", "well-formed"),
    ("<speak>a", "well-formed"),
    ("<speak>a & b</speak>", "well-formed"),
    ("<p>a</p>", "<speak>"),
    ("<speak><speak>a</speak></speak>", "<speak>"),
    ("<speak><audio src='x'/></speak>", "<audio>"),
    ("<speak><break time='11s'/></speak>", "<break>"),
    ("<speak><break time='soon'/></speak>", "<break>"),
    ("<speak><break strength='huge'/></speak>", "<break>"),
    ("<speak><break>a</break></speak>", "<break>"),
    ("<speak><prosody rate='silly'>a</prosody></speak>", "<prosody>"),
    ("<speak><prosody rate='+20'>a</prosody></speak>", "<prosody>"),
    ("<speak><prosody rate='900%'>a</prosody></speak>", "<prosody>"),
    ("<speak><prosody volume='loud'>a</prosody></speak>", "<prosody>"),
    ("<speak><emphasis level='very'>a</emphasis></speak>", "<emphasis>"),
    ("<speak><say-as>1</say-as></speak>", "<say-as>"),
    ("<speak><say-as interpret-as='currency'>1</say-as></speak>", "<say-as>"),
    ("<speak><sub>a</sub></speak>", "<sub>"),
    ("<speak><sub alias='b'><p>a</p></sub></speak>", "<sub>"),
    ("<speak><phoneme alphabet='x-sampa' ph='a'>a</phoneme></speak>", "<phoneme>"),
    ("<speak><phoneme ph='" + "a" * 501 + "'>a</phoneme></speak>", "<phoneme>"),
    ("<speak><lang xml:lang='???'>a</lang></speak>", "<lang>"),
    ("<!DOCTYPE speak><speak>a</speak>", "DOCTYPE"),
    ('<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><speak>&b;</speak>', "DOCTYPE"),
    ('<!DOCTYPE s [<!ENTITY f SYSTEM "file:///etc/hostname">]><speak>&f;</speak>', "DOCTYPE"),
    ("<speak>" + "<p>" * DEEPEST + "a" + "</p>" * DEEPEST + "</speak>", "deep"),
    ("<speak>" + "a<emphasis>b</emphasis>" * MOST_SPANS + "</speak>", "parts"),
]


@pytest.mark.parametrize(("inside", "spans"), READ)
def test_elements_become_spans(inside: str, spans: list[Span]) -> None:
    assert parse_ssml(f"<speak>{inside}</speak>") == spans


@pytest.mark.parametrize(("kind", "layout", "language", "written", "said"), SAID)
def test_say_as_is_put_in_words(kind: str, layout: str, language: str, written: str, said: str) -> None:
    document = f'<speak><say-as interpret-as="{kind}" format="{layout}">{written}</say-as></speak>'
    assert parse_ssml(document, language) == [Span(said, language=language, as_is=True)]


@pytest.mark.parametrize(("document", "named"), REFUSED)
def test_what_is_not_read_is_refused_by_name(document: str, named: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_ssml(document)
    assert named in refusal.value.detail
    assert refusal.value.param == "text"


def test_a_declaration_cannot_change_the_encoding() -> None:
    document = '<?xml version="1.0" encoding="utf-16"?><speak version="1.1" xml:lang="de">ä</speak>'
    assert parse_ssml(document) == [Span("ä", language="de")]


@given(st.text(alphabet=st.sampled_from(list("<>/&;'=\" speakbr!1\ud800é\0"))) | st.text())
def test_nothing_else_than_a_refusal_is_raised(text: str) -> None:
    for document in (text, f"<speak>{text}</speak>"):
        try:
            parse_ssml(document)
        except InvalidRequest as refusal:
            assert refusal.param == "text"
