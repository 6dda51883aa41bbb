// Pictures and sound as an input: chosen, dropped, pasted, taken by the camera, drawn, recorded.

import { button, fromBase64, make, toBase64 } from "./dom.js";

const LARGEST_BYTES = 48 * 2 ** 20;
const RATE_HZ = 16_000;

async function base64Of(file) {
  if (file.size > LARGEST_BYTES) {
    const size = Math.ceil(file.size / 2 ** 20);
    throw new Error(`${file.name || "This file"} has ${size} MB; this page sends at most ${LARGEST_BYTES / 2 ** 20} MB.`);
  }
  return toBase64(new Uint8Array(await file.arrayBuffer()));
}

/** What all of them share: the content, a file picker that files can be dropped on, a line that says what is there. */
function holder(accept, show, changed) {
  const state = { content: undefined };
  const input = make("input", { type: "file", accept });
  const status = make("p", { className: "help", role: "status" });
  const view = make("div", { className: "view" });
  let url;

  function set(content, name = "") {
    state.content = content;
    if (url) URL.revokeObjectURL(url);
    url = undefined;
    view.replaceChildren();
    status.textContent = name;
    if (content !== undefined) {
      const bytes = fromBase64(content);
      status.textContent = `${name || "a file"}, ${bytes.length.toLocaleString()} bytes`;
      const element = show(bytes);
      if (element) {
        url = URL.createObjectURL(new Blob([bytes], { type: element.type }));
        element.node.src = url;
        element.node.addEventListener("error", () => { view.replaceChildren(); });
        view.append(element.node);
      }
    }
    changed();
  }

  async function take(file) {
    try {
      set(await base64Of(file), file.name);
      input.setCustomValidity("");
    } catch (error) {
      set(undefined, error.message);
      input.setCustomValidity(error.message);
    }
  }

  input.addEventListener("change", () => (input.files.length ? take(input.files[0]) : set(undefined)));
  const box = make("div", { className: "drop" }, input, status, view);
  box.addEventListener("dragover", (event) => { event.preventDefault(); box.classList.add("over"); });
  box.addEventListener("dragleave", () => box.classList.remove("over"));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  box.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) take(file);
  });
  return { input, box, status, set, take, read: () => state.content };
}

function widget(held, ...tools) {
  if (tools.length) held.box.append(make("div", { className: "tools" }, ...tools));
  const write = (content) => {
    held.input.value = "";
    held.input.setCustomValidity("");
    held.set(content === undefined || content === null ? undefined : String(content).replace(/^data:[^,]*,/, ""), content ? "from the example" : "");
  };
  return { input: held.input, element: held.box, read: held.read, write };
}

export function fileWidget({ contentMediaType = "" }, changed) {
  return widget(holder(contentMediaType.includes("/*") ? contentMediaType : "", () => null, changed));
}

export function imageWidget(schema, changed) {
  const show = () => ({ node: make("img", { alt: "The picture to ask about" }), type: "image/*" });
  const held = holder("image/*", show, changed);
  held.box.append(make("p", { className: "help", textContent: "Choose, drop or paste a picture." }));
  const pad = drawing(280, (canvas) => canvas.toBlob((blob) => held.take(new File([blob], "drawing.png")), "image/png"));
  const tools = [cameraButton(held), button("Draw", () => { pad.hidden = !pad.hidden; })];
  pad.hidden = true;
  const made = widget(held, ...tools);
  held.box.append(pad);
  return made;
}

function cameraButton(held) {
  let stream;
  const video = make("video", { autoplay: true, muted: true, playsInline: true });
  const stop = () => {
    for (const track of stream?.getTracks() || []) track.stop();
    stream = undefined;
    video.remove();
  };
  const taken = button("Camera", async () => {
    if (stream) {
      const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      stop();
      taken.textContent = "Camera";
      canvas.toBlob((blob) => held.take(new File([blob], "camera.jpg")), "image/jpeg", 0.92);
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      held.box.append(video);
      taken.textContent = "Take the picture";
    } catch (error) {
      held.status.textContent = `No camera: ${error.message || "this page is not served over https"}`;
    }
  });
  return taken;
}

/** A square to draw on with mouse, finger or pen: white on black, as the usual digits are. */
export function drawing(size, done) {
  const canvas = make("canvas", { width: size, height: size, className: "pad" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Draw here; a picture can be uploaded instead");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const clear = () => { context.fillStyle = "#000"; context.fillRect(0, 0, size, size); };
  clear();
  let last;
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * size) / box.width, ((event.clientY - box.top) * size) / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = point(event); });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = point(event);
    Object.assign(context, { strokeStyle: "#fff", lineWidth: size / 12, lineCap: "round" });
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...next);
    context.stroke();
    last = next;
  });
  canvas.addEventListener("pointerup", () => { last = undefined; done(canvas); });
  const wipe = button("Wipe", () => { clear(); done(canvas); });
  return make("div", { className: "drawing" }, canvas, wipe);
}

export function audioWidget(schema, changed) {
  const show = () => ({ node: make("audio", { controls: true }), type: "audio/*" });
  const held = holder("audio/*", show, changed);
  held.box.append(make("p", { className: "help", textContent: "Choose or drop a recording: WAV, FLAC or Ogg." }));
  return widget(held, recordButton(held));
}

function recordButton(held) {
  let recorder;
  const made = button("Record", async () => {
    if (recorder) {
      recorder.stop();
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const pieces = [];
      recorder = new MediaRecorder(stream);
      recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
      recorder.addEventListener("stop", async () => {
        for (const track of stream.getTracks()) track.stop();
        recorder = undefined;
        made.textContent = "Record";
        held.take(new File([await toWav(new Blob(pieces))], "recording.wav"));
      });
      recorder.start();
      made.textContent = "Stop";
    } catch (error) {
      recorder = undefined;
      held.status.textContent = `No microphone: ${error.message || "this page is not served over https"}`;
    }
  });
  return made;
}

/** Any sound that the browser reads, as one channel of 16-bit PCM. */
async function toWav(blob) {
  const context = new OfflineAudioContext(1, 1, RATE_HZ);
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  const mixer = new OfflineAudioContext(1, Math.max(1, Math.ceil(sound.duration * RATE_HZ)), RATE_HZ);
  const source = new AudioBufferSourceNode(mixer, { buffer: sound });
  source.connect(mixer.destination);
  source.start();
  const samples = (await mixer.startRendering()).getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (place, word) => [...word].forEach((letter, i) => view.setUint8(place + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE_HZ, true);
  view.setUint32(28, 2 * RATE_HZ, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, sample)) * 0x7fff, true));
  return view.buffer;
}

