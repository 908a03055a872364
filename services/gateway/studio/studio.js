// The studio: one form, one film. The film is fetched once; it plays through MediaSource while it
// arrives, and is kept for the download.

const $ = (id) => document.getElementById(id);
const CODECS = 'video/mp4; codecs="avc1.640028, mp4a.40.2"';

async function json(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer.json();
}

async function showChoices() {
  const [avatars, info] = await Promise.all([json("/video/avatars"), json("/info")]);
  avatars.avatars.forEach((name, index) => {
    const choice = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "avatar", value: name, checked: index === 0 });
    const picture = Object.assign(document.createElement("img"), { src: `/video/avatars/${encodeURIComponent(name)}/portrait`, alt: "" });
    choice.append(radio, picture, name);
    $("avatars").append(choice);
  });
  info.available_speakers.forEach((voice) => $("voice").append(new Option(voice, voice)));
  const names = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });
  const nameOf = (language) => { // some come as tags
    try { return /^[a-z]/.test(language) ? names.of(language) : language; } catch { return language; }
  };
  info.supported_languages
    .filter((language) => language !== "Auto") // is in the page
    .map((language) => [nameOf(language), language])
    .sort()
    .forEach(([name, tag]) => $("language").append(new Option(name, tag)));
}

function say(message, isError = false) {
  $("status").textContent = message;
  $("status").classList.toggle("error", isError);
}

function requestBody() {
  const form = new FormData($("form"));
  const picture = $("picture").files[0];
  if (picture) {
    form.delete("avatar");
    form.set("avatar_image", picture);
  }
  return form;
}

/** Feed a buffer in order; an append must end before the next begins. */
async function append(buffer, data) {
  const done = new Promise((resolve, reject) => {
    buffer.addEventListener("updateend", resolve, { once: true });
    buffer.addEventListener("error", reject, { once: true });
  });
  buffer.appendBuffer(data);
  await done;
}

async function openPlayer(video) {
  if (!("MediaSource" in window) || !MediaSource.isTypeSupported(CODECS)) return null;
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((resolve) => source.addEventListener("sourceopen", resolve, { once: true }));
  return { source, buffer: source.addSourceBuffer(CODECS) };
}

async function generate() {
  const video = $("video");
  const [width, height] = $("size").value.split("x");
  video.style.aspectRatio = `${width} / ${height}`;
  $("download").hidden = true;
  say("Speaking …");
  const started = performance.now();
  video.addEventListener("loadeddata", () => say(`First picture after ${Math.round(performance.now() - started)} ms.`), { once: true });

  const answer = await fetch("/video/stream", { method: "POST", body: requestBody() });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  const player = await openPlayer(video);
  if (player) video.play().catch(() => say("Ready: press play."));
  const parts = [];
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    if (player) await append(player.buffer, value);
  }
  const film = new Blob(parts, { type: "video/mp4" });
  if (player) player.source.endOfStream();
  else { video.src = URL.createObjectURL(film); video.play().catch(() => say("Ready: press play.")); }
  $("download").href = URL.createObjectURL(film);
  $("download").hidden = false;
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("go").disabled = true;
  try { await generate(); } catch (error) { say(error.message, true); } finally { $("go").disabled = false; }
});

showChoices().catch((error) => say(error.message, true));
