// One live session: what is written goes to the socket letter by letter, and the film that comes back
// plays through MediaSource a moment behind it.

const $ = (id) => document.getElementById(id);
const BEHIND_S = 1.0; // further behind than this, the player hurries
const KEPT_S = 10;

function say(message, isError = false) {
  $("status").textContent = message;
  $("status").classList.toggle("error", isError);
}

async function showAvatars() {
  const answer = await fetch("/video/avatars");
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  told.avatars.forEach((name) => $("avatar").append(new Option(name, name)));
}

/** Plays fragments in order, stays close to the newest one, and forgets old ones. */
class Player {
  constructor(video, codecs) {
    this.video = video;
    this.waiting = [];
    this.source = new MediaSource();
    this.source.addEventListener("sourceopen", () => {
      this.buffer = this.source.addSourceBuffer(`video/mp4; codecs="${codecs}"`);
      this.buffer.addEventListener("updateend", () => this.next());
      this.next();
    }, { once: true });
    video.src = URL.createObjectURL(this.source);
    video.play().catch(() => say("Ready: press play."));
    video.controls = true;
  }

  append(data) {
    this.waiting.push(data);
    this.next();
  }

  next() {
    if (!this.buffer || this.buffer.updating) return;
    if (this.waiting.length) return this.buffer.appendBuffer(this.waiting.shift());
    const { buffered } = this.buffer;
    if (!buffered.length) return;
    const { currentTime } = this.video;
    this.video.playbackRate = buffered.end(buffered.length - 1) - currentTime > BEHIND_S ? 1.1 : 1;
    if (currentTime - buffered.start(0) > 2 * KEPT_S) this.buffer.remove(0, currentTime - KEPT_S);
  }
}

function begin() {
  const socket = new WebSocket(new URL("/v1/video/stream", location.href.replace(/^http/, "ws")));
  socket.binaryType = "arraybuffer";
  const send = (message) => socket.send(JSON.stringify(message));
  let player, sent = "";

  socket.onopen = () => send({ type: "session.config", avatar: $("avatar").value });
  socket.onclose = () => { say("The session is over."); $("begin").disabled = false; $("text").disabled = $("interrupt").disabled = true; };
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") return player.append(data);
    const event = JSON.parse(data);
    if (event.type === "video.init") {
      player = new Player($("video"), event.codecs);
      $("text").disabled = $("interrupt").disabled = false;
      $("text").focus();
      say("Write something.");
    } else if (event.type === "video.start") say(`“${event.sentence_text}”`);
    else if (event.type === "interrupted") say(event.last_word ? `Stopped after “${event.last_word}”.` : "Stopped.");
    else if (event.type === "error") say(event.message, true);
  };
  // What was sent cannot be taken back: only what is written after it goes on.
  $("text").oninput = () => {
    const text = $("text").value;
    if (text.startsWith(sent)) { send({ type: "input.text", text: text.slice(sent.length) }); sent = text; }
    if (!text) { send({ type: "input.done" }); sent = ""; }
  };
  $("text").onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    send({ type: "input.done" });
    $("text").value = sent = "";
  };
  $("interrupt").onclick = () => { send({ type: "interrupt" }); $("text").value = sent = ""; };
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("begin").disabled = true;
  begin();
});

showAvatars().catch((error) => say(error.message, true));
