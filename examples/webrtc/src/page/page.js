// SPDX-License-Identifier: MIT OR Apache-2.0

const byId = id => document.getElementById(id);
const [input, output, start, model, reverse, strength, shown, problem, status] =
    ["input", "output", "start", "model", "reverse", "strength", "shown", "problem", "status"].map(byId);
const settings = [model, reverse, strength];

// The current visit: its camera and connections.
let visit = null;

start.onclick = () => visit ? leave("Stopped.") : come();
byId("settings").onsubmit = event => event.preventDefault();
model.onchange = () => set({ model: model.value });
reverse.onchange = () => set({ direction: reverse.checked ? "reverse" : "forward" });
strength.oninput = () => {
    set({ strength: strength.valueAsNumber });
    showStrength();
};
addEventListener("pagehide", () => leave("Stopped."));

function showStrength() {
    shown.value = `${Math.round(100 * strength.valueAsNumber)} %`;
}

function set(values) {
    problem.hidden = true;
    send({ type: "set", ...values });
}

function send(message) {
    if (visit?.socket?.readyState === WebSocket.OPEN) visit.socket.send(JSON.stringify(message));
}

function complain(text) {
    problem.textContent = text;
    problem.hidden = false;
}

// Asks for the camera, then connects to the server.
async function come() {
    const mine = visit = {};
    problem.hidden = true;
    start.textContent = "Stop";
    status.textContent = "Waiting for the camera …";
    try {
        mine.camera = await camera();
    } catch (error) {
        if (visit === mine) leave("Stopped.", inWords(error));
        return;
    }
    // The visit was stopped in the meantime.
    if (visit !== mine) return mine.camera.getTracks().forEach(track => track.stop());
    input.srcObject = mine.camera;
    status.textContent = "Connecting …";
    mine.socket = new WebSocket(new URL("visit", location.href.replace(/^http/, "ws")));
    mine.socket.onmessage = event => visit === mine && take(mine, JSON.parse(event.data));
    mine.socket.onclose = () => visit === mine && leave("Stopped.", "The server ended the connection, or is not there.");
}

function camera() {
    if (!navigator.mediaDevices)
        throw new Error("Browsers give the camera to pages of https and of this machine only: "
            + "open this page at http://127.0.0.1 or through a proxy with TLS.");
    const video = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25, max: 30 } };
    return navigator.mediaDevices.getUserMedia({ video });
}

function inWords(error) {
    return {
        NotAllowedError: "The browser does not let this page use the camera; allow it beside the page's address.",
        NotFoundError: "There is no camera here.",
        NotReadableError: "The camera is in use by another program.",
    }[error.name] ?? error.message;
}

// Ends the visit and shows the problem, if any.
function leave(text, why) {
    visit?.camera?.getTracks().forEach(track => track.stop());
    visit?.peer?.close();
    visit?.socket?.close();
    visit = null;
    input.srcObject = output.srcObject = null;
    settings.forEach(setting => setting.disabled = true);
    start.textContent = "Start the camera";
    status.textContent = text;
    if (why) complain(why);
}

// Handles a message from the server.
async function take(mine, message) {
    switch (message.type) {
    case "welcome":
        return welcome(mine, message);
    case "offer":
        return answer(mine, message.sdp).catch(error => leave("Stopped.", error.message));
    case "candidate":
        // Candidates may arrive before the offer.
        await mine.offered.promise;
        return mine.peer.addIceCandidate({ candidate: message.candidate, sdpMLineIndex: 0 });
    case "settings":
        model.value = message.model;
        reverse.checked = message.direction === "reverse";
        strength.value = message.strength;
        showStrength();
        return settings.forEach(setting => setting.disabled = false);
    case "stats":
        status.textContent = `${message.fps.toFixed(1)} frames a second, `
            + `${message.inference.toFixed(1)} ms each in the generator, on ${message.provider}.`;
        return;
    case "warning":
        return complain(message.text);
    case "error":
        return leave("Stopped.", message.text);
    }
}

function welcome(mine, message) {
    mine.offered = Promise.withResolvers();
    model.replaceChildren(...message.models.map(name => new Option(name.split("/").pop(), name)));
    // Some cameras have only large frames; the browser scales them down.
    const size = { width: { max: message.width }, height: { max: message.height } };
    mine.camera.getVideoTracks()[0].applyConstraints({ ...mine.camera.getVideoTracks()[0].getConstraints(), ...size })
        .catch(error => complain(`The camera has no frames of ${message.width}×${message.height} pixels or less.`));
}

async function answer(mine, sdp) {
    const peer = mine.peer = new RTCPeerConnection();
    mine.camera.getTracks().forEach(track => peer.addTrack(track, mine.camera));
    peer.ontrack = event => {
        event.receiver.jitterBufferTarget = 0;
        output.srcObject = new MediaStream([event.track]);
    };
    peer.onicecandidate = ({ candidate }) =>
        candidate?.candidate && send({ type: "candidate", candidate: candidate.candidate });
    peer.onconnectionstatechange = () => {
        if (peer.connectionState === "failed")
            leave("Stopped.", "The browser cannot reach the server with UDP; a firewall may stop it.");
    };
    await peer.setRemoteDescription({ type: "offer", sdp });
    mine.offered.resolve();
    await peer.setLocalDescription();
    send({ type: "answer", sdp: peer.localDescription.sdp });
    status.textContent = "Waiting for the first picture …";
}
