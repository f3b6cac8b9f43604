"use strict";
// Replaces what is live when the instance says that something changed. The form
// keeps what a person is typing.
const source = new EventSource("/simulator/events");
let busy = false;
source.onmessage = async () => {
  if (busy || document.hidden || document.activeElement?.closest("form")) return;
  busy = true;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    if (next) document.getElementById("live").replaceWith(next);
  } finally {
    busy = false;
  }
};
