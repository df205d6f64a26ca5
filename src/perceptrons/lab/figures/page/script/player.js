// Going through the frames, and training on from one of them.

import { byId } from "./dom.js";
import { readable } from "./run.js";

const SECONDS = 6; // in which all frames are played
const PATIENCE = 12; // milliseconds of each picture on the screen that training may take

export class Player {
  /** current(): what is played, or null. */
  constructor(current) {
    this.current = current;
    this.mode = "still";
    byId("frame").addEventListener("input", ({ target }) => this.goTo(Number(target.value)));
    byId("play").addEventListener("click", () => this.toggle("playing"));
    byId("train").addEventListener("click", () => this.toggle("training"));
    for (const made of document.querySelectorAll("[data-updates]")) {
      made.addEventListener("click", () => {
        this.stop();
        this.current().trainOn(Number(made.dataset.updates));
      });
    }
  }

  place(run) {
    this.run = run;
    byId("frame").max = run.frames.length - 1;
    byId("frame").disabled = byId("play").disabled = run.frames.length < 2;
  }

  goTo(frame) {
    if (!this.current() || !this.run.frames.length) return;
    this.stop();
    this.current().show(frame);
  }

  stop() {
    this.mode = "still";
    this.draw();
  }

  toggle(mode) {
    if (this.mode === mode) {
      this.stop();
      return;
    }
    const play = this.current();
    this.mode = mode;
    const last = this.run.frames.length - 1;
    if (mode === "playing" && (play.frame === last || play.weightsChanged)) play.show(0);
    this.draw();
    let before = performance.now();
    const turn = (now) => {
      if (this.mode !== mode || this.current() !== play) return;
      if (mode === "training") this.trainAWhile(play);
      else if (now - before >= (1000 * SECONDS) / Math.max(last, 1)) {
        before = now;
        if (play.frame < last) play.show(play.frame + 1);
        if (play.frame >= last) this.stop();
      }
      requestAnimationFrame(turn);
    };
    requestAnimationFrame(turn);
  }

  /** As many updates as were asked for between two pictures, or as there is time for. */
  trainAWhile(play) {
    const wanted = Number(byId("speed").value);
    const begun = performance.now();
    let made = 0;
    while (made < wanted && performance.now() - begun < PATIENCE) {
      const some = Math.min(wanted - made, 10);
      play.trainOn(some, made + some >= wanted);
      made += some;
    }
    if (!play.net.weights.every(Number.isFinite)) this.stop();
  }

  draw() {
    const slider = byId("frame");
    const play = this.current();
    const begin = play?.shapeChanged ? "Play the run" : "Play"; // which a network of one's own ends
    byId("play").textContent = this.mode === "playing" ? "Pause" : begin;
    byId("train").textContent = this.mode === "training" ? "Stop" : "Train on from here";
    if (!play) return;
    slider.value = play.frame;
    slider.setAttribute("aria-valuetext", `update ${readable(play.run.frames[play.frame].update)}`);
    byId("now").textContent = `update ${readable(play.updates)}`;
  }
}
