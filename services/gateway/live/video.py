"""A talking head on a socket: a film that goes on, and each fragment of it announced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

from services.chassis.fmp4 import decoder_configuration
from services.contract.errors import ServiceError
from services.contract.speech import AudioChunk, join_chunks
from services.contract.video import FILM_SAMPLE_RATE_HZ
from services.gateway.casting import Cast
from services.gateway.clients import SpeechAnswer, TtsClient
from services.gateway.lines import Line
from services.gateway.live.film import Beginning
from services.gateway.live.messages import VideoConfig
from services.gateway.live.pipeline import (
    SentenceBegun,
    SentenceEnded,
    SentenceFailed,
    Sound,
    Speaking,
    SpokenEvent,
    speak_tokens,
)
from services.gateway.live.said import Said
from services.gateway.live.shot import Cue
from services.gateway.live.socket import LiveSocket, Message
from services.gateway.live.stage import NotShown, Shown, Stage, StageEvent, Unit
from services.gateway.live.turns import Perform, Utterance
from services.gateway.utterance import LEAD_S

Watch = Callable[[StageEvent], None]
"""Is told all that happens on the stage."""


class VideoPerformer:
    """Speaks the utterances of one socket on a stage."""

    def __init__(self, socket: LiveSocket, tts: TtsClient, at_once: int, watch: Watch) -> None:
        self._socket = socket
        self._watch = watch
        self._sends_film = True
        self._tts = tts
        self._at_once = at_once
        self._stage: asyncio.Future[Stage] = asyncio.get_running_loop().create_future()
        self._speaking = Speaking()
        self._utterances: dict[int, Utterance] = {}
        self._failed = 0
        """Sentences of the utterance at hand that were left out."""
        self.said = Said()

    def configure(self, config: VideoConfig, cast: Cast, stage: Stage) -> None:
        """Speak so, on this stage."""
        [scene] = cast.script.scenes
        update = {"sample_rate_hz": FILM_SAMPLE_RATE_HZ, "live": False, "use_cache": config.use_cache}
        manner = scene.manner.model_copy(update=update)
        self._speaking = Speaking(manner, config.language, config.split_granularity, self._at_once)
        self._sends_film = config.send_film
        self._stage.set_result(stage)

    @property
    def configured(self) -> bool:
        """Whether there is a stage already: it is one for the whole session."""
        return self._stage.done()

    async def run(self) -> None:
        """Send the film until the session ends."""
        stage = await self._stage
        async with aclosing(stage.play()) as events:
            async for event in events:
                self._watch(event)
                await self._send(event)

    def performance(self) -> Perform:
        """Return what has an utterance shown, and tells when it is over."""
        return self._perform

    async def _perform(self, utterance: Utterance) -> None:
        stage = await self._stage
        rehearsal = _Rehearsal(utterance)
        self._utterances[utterance.index] = utterance
        self._failed = 0
        try:
            async with aclosing(speak_tokens(self._tts, utterance.tokens, self._speaking, utterance.journal)) as events:
                async for event in events:
                    if isinstance(event, SentenceFailed):
                        self._failed += 1
                        place = {"utterance_index": utterance.index, "generation": utterance.generation}
                        await self._refuse(event.error, event.text, **place, sentence_index=event.index)
                    elif (cue := rehearsal.hear(event)) is not None:
                        await stage.say(cue)
            await stage.all_shown()
        finally:
            del self._utterances[utterance.index]
        utterance.journal.note("all sent")
        await self._socket.send(
            {
                "type": "session.done",
                "utterance_index": utterance.index,
                "generation": utterance.generation,
                "total_sentences": rehearsal.sentences,
                "failed_sentences": self._failed,
            },
            generation=utterance.generation,
        )

    def interrupt(self) -> dict[str, object]:
        """Say nothing more of it; return what was given last."""
        if self._stage.done():
            self._stage.result().interrupt()
        told = self.said.told()
        self.said = Said()
        return told

    async def _send(self, event: StageEvent) -> None:
        if isinstance(event, Beginning):
            told = {"type": "video.init", "codecs": codecs_of(event.boxes), "bytes": len(event.boxes)}
            await self._send_film(told, event.boxes)
        elif isinstance(event, Unit):
            await self._send_unit(event)
        elif isinstance(event, Shown):
            self._note(event.cue, "sent")
            await self._socket.send({"type": "video.done", **_place(event.cue)})
        else:
            await self._fail(event)

    async def _send_unit(self, unit: Unit) -> None:
        cue = unit.cue
        told: dict[str, object] = {
            "type": "video.fragment",
            "first_frame": unit.first_frame,
            "frames": unit.frames,
            "idle": cue is None,
            "bytes": len(unit.data),
        }
        if cue is None:
            await self._send_film(told, unit.data)
            return
        start: list[Message] = []
        if (self.said.utterance_index, self.said.sentence_index) != (cue.utterance, cue.index):
            self._note(cue, "sending started")
            self.said.begin(cue.index, cue.line.text, cue.utterance)
            self.said.add([mark.shifted(LEAD_S) for mark in cue.speech.marks], 0.0)
            text = {"sentence_text": cue.line.text, "first_frame": unit.first_frame}
            start.append({"type": "video.start", **_place(cue), **text})
        # What is being sent when somebody interrupts is sent to its end, so it counts before.
        self.said.add([], unit.shown_s)
        await self._send_film(told | _place(cue), unit.data, start)

    async def _send_film(self, told: dict[str, object], data: bytes, start: Sequence[Message] = ()) -> None:
        """Send a piece of film and what announces it, all together."""
        film: list[Message] = [told, data] if self._sends_film else []
        if start or film:
            await self._socket.send(*start, *film)

    async def _fail(self, event: NotShown) -> None:
        self._failed += 1
        self._note(event.cue, f"failed: {event.error.detail}")
        await self._refuse(event.error, event.cue.line.text, **_place(event.cue))

    async def _refuse(self, error: ServiceError, text: str, **place: object) -> None:
        await self._socket.refuse(error, **place, sentence_text=text)

    def _note(self, cue: Cue, event: str) -> None:
        if (utterance := self._utterances.get(cue.utterance)) is not None:
            utterance.journal.note(event, cue.index)


class _Rehearsal:
    """Gathers what is spoken of an utterance into whole sentences."""

    def __init__(self, utterance: Utterance) -> None:
        self._utterance = utterance
        self._chunks: list[AudioChunk] = []
        self._begun: tuple[Line, SpeechAnswer] | None = None
        self.sentences = 0

    def hear(self, event: SpokenEvent) -> Cue | None:
        """Take an event; return the sentence that is complete with it."""
        if isinstance(event, SentenceBegun):
            self._begun, self._chunks = (event.line, event.answer), []
        elif isinstance(event, Sound):
            self._chunks.append(event.chunk)
        elif isinstance(event, SentenceEnded) and self._begun is not None:
            self.sentences += 1
            line, answer = self._begun
            speech = join_chunks(self._chunks)
            return Cue(self._utterance.index, event.index, line, speech, answer, self._utterance.generation)
        return None


def codecs_of(beginning: bytes) -> str:
    """Return the codecs of a film that begins so, as players want to know them (RFC 6381)."""
    profile = decoder_configuration(beginning)[1:4]
    return f"avc1.{profile.hex()},mp4a.40.2"


def _place(cue: Cue) -> dict[str, object]:
    return {"utterance_index": cue.utterance, "generation": cue.generation, "sentence_index": cue.index}
