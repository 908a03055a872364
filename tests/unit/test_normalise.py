"""What is written is said in words, and what needs no help stays."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.text.locales import LANGUAGES
from services.gateway.text.normalise import normalised

ANY_LANGUAGE = st.sampled_from([*LANGUAGES, "zh-cmn", "xx", ""])
LIKELY = st.text(
    alphabet=st.sampled_from(list("0123456789.,:/-–~+%°€$ ¥@#()'tshkmGBCº年月日시개个eг😀é第\u0301٣²")), max_size=60
)

WRITTEN = [
    ("en", "Dr. Smith paid $3.50 for 2 kg.", "Doctor Smith paid three dollars and fifty cents for two kilograms."),
    ("en", "On 2026-11-20 at 14:30", "On November twentieth, twenty twenty-six at fourteen thirty"),
    ("en", "the 21st, at -5 °C", "the twenty-first, at minus five degrees Celsius"),
    ("en", "in 1984, the 1990s", "in nineteen eighty-four, the nineteen nineties"),
    ("en", "1,234 and 0.5%", "one thousand two hundred thirty-four and zero point five percent"),
    ("en", "a.b@example.org", "a dot b at example dot org"),
    ("en", "See https://www.example.com/docs?x=1.", "See example dot com slash docs."),
    ("en", "Call 555-123-4567.", "Call five five five, one two three, four five six seven."),
    ("en", "Bring cups, etc. Then go.", "Bring cups, et cetera. Then go."),
    ("en", "Hi 😀 there👍🏽!", "Hi there!"),
    ("en", "5-10 km/h, $1.5 million", "five to ten kilometers per hour, one point five million dollars"),
    ("en", "11/20/2026", "November twentieth, twenty twenty-six"),
    ("en", "agent 007", "agent zero zero seven"),
    ("en", "at 2:05 pm", "at two oh five PM"),
    ("de", "am 20.11.2026 um 14:30 Uhr", "am zwanzigsten November zweitausendsechsundzwanzig um vierzehn Uhr dreißig"),
    ("de", "z. B. 3,50 € für 1 Stunde", "zum Beispiel drei Euro und fünfzig Cent für eine Stunde"),
    ("de", "der 3. Platz. Es waren 20. Danach", "der dritte Platz. Es waren zwanzig. Danach"),
    ("de", "1.234,5 km", "eintausendzweihundertvierunddreißig Komma fünf Kilometer"),
    ("fr", "le 1er janvier à 14h30", "le premier janvier à quatorze heures trente"),
    ("fr", "M. Dupont a 1 234 €", "Monsieur Dupont a mille deux cent trente-quatre euros"),
    ("fr", "2 millions €, 21 heures", "deux millions d'euros, vingt-et-une heures"),
    ("es", "El Sr. García, 20/11/2026", "El señor García, veinte de noviembre de dos mil veintiséis"),
    ("es", "21 horas, 1 año, 3,14 %", "veintiuna horas, un año, tres coma uno cuatro por ciento"),
    ("pt", "R$ 3,50 às 14h30", "três reais e cinquenta centavos às catorze e trinta"),
    ("pt", "2 horas, 1º lugar", "duas horas, primeiro lugar"),
    ("it", "2 kg, 3,50 €, ecc.", "due chilogrammi, tre euro e cinquanta centesimi, eccetera."),
    ("it", "20/11/2026, -5 °C", "venti novembre duemilaventisei, meno cinque gradi Celsius"),
    ("ru", "2 минуты, 5 км, 21 кг", "две минуты, пять километров, двадцать один килограмм"),
    ("ru", "в 2026 году, 1-й", "в две тысячи двадцать шестом году, первый"),
    ("ru", "20 ноября, 3,5 %", "двадцатого ноября, три целых пять десятых процента"),
    ("ru", "т. е. 5 см. и т. д.", "то есть пять сантиметров и так далее."),
    ("zh-cmn", "2026年11月20日14:30，2个人，50%", "二零二六年十一月二十日十四点三十分，两个人，百分之五十"),
    ("zh", "-5℃，1.5亿元，80km/h", "负五摄氏度，一点五亿元，每小时八十公里"),
    ("ja", "2026年11月20日に¥3,500", "二千二十六年十一月二十日に三千五百円"),
    ("ja", "時速80km/h、２kg、14:30", "時速八十キロメートル、二キログラム、十四時三十分"),
    ("ko", "10월 6일 2:30, 3개, 20살", "시월 육일 두 시 삼십 분, 세개, 스무살"),
    ("ko", "010-1234-5678, -5℃", "공일공, 일이삼사, 오육칠팔, 섭씨 마이너스 오 도"),
    ("xx", "5 😀 example.com", "5 example dot com"),
]

UNCHANGED = [
    ("en", "MP3, GPT-4, COVID-19, H2O and 4K stay."),
    ("en", "Nothing to see  here; it's fine – really (yes).\n\nNew paragraph."),
    ("de", "Straße, Größe – alles gut."),
    ("ru", "Привет, как дела?"),
    ("zh", "你好，世界！MP3和GPT-4"),
    ("ja", "こんにちは、世界。"),
    ("ko", "안녕하세요. 반갑습니다!"),
    ("xx", "12 km in 3.5 h"),
    ("en", "©, ®, ™ and 5xyz"),
]


@pytest.mark.parametrize(("language", "written", "said"), WRITTEN)
def test_what_is_written_is_said_in_words(language: str, written: str, said: str) -> None:
    assert normalised(written, language) == said


@pytest.mark.parametrize(("language", "text"), UNCHANGED)
def test_what_needs_no_help_stays(language: str, text: str) -> None:
    assert normalised(text, language) == text


@given(st.text(max_size=80) | LIKELY, ANY_LANGUAGE)
@example("9" * 5000, "en")
@example("1.1" * 400 + "x", "de")
@example("00:00:00", "ru")
@example("1 m 1:00:01 -1-2", "ko")
@example("$.00 -0.00€ ¥0.00", "ja")
def test_any_text_is_taken(text: str, language: str) -> None:
    normalised(text, language)


@pytest.mark.parametrize(("language", "said"), [(language, said) for language, _, said in WRITTEN])
def test_words_come_back_as_they_were(language: str, said: str) -> None:
    assert normalised(said, language) == said


@pytest.mark.parametrize("language", ["en", "de", "ru", "zh"])
@pytest.mark.parametrize(
    "piece", ["1,", "1.", "1-", "1 ", "a.", "a@", "http://", "😀 ", "12:3", "-", "1/", "+1 ", "(1", "www."]
)
def test_a_long_text_takes_time_by_its_length(language: str, piece: str) -> None:
    # A pattern that looks back over the text would need minutes here.
    assert normalised(piece * 10_000 + "x", language) is not None
