"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const table = document.getElementById("runs");
  if (!table) return;
  const bodies = [...table.tBodies];

  // --- making elements: text from outside only ever becomes a text node ---

  function make(name, attributes = {}, ...children) {
    return fill(document.createElement(name), attributes, children);
  }
  function draw(name, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, name), attributes, children);
  }
  function fill(element, attributes, children) {
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "width%") element.style.width = `${value}%`;
      else if (key === "left%") element.style.left = `${value}%`;
      else element.setAttribute(key, value);
    }
    element.append(...children.filter((each) => each !== null && each !== undefined));
    return element;
  }

  // --- figures for people, as in the terminal's summary ---

  const number = (value) => value.toLocaleString("en-US");
  const counted = (value, one, many = one + "s") => `${number(value)} ${value === 1 ? one : many}`;
  function percent(share) {
    return share === 0 ? "0%" : share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
  }
  function size(bytes) {
    let unit = 0;
    while (bytes >= 1024 && unit < 3) { bytes /= 1024; unit += 1; }
    return `${bytes.toFixed(unit === 0 || bytes >= 99.95 ? 0 : 1)} ${["B", "KiB", "MiB", "GiB"][unit]}`;
  }
  const SPANS = [[1, "s"], [60, "min"], [3600, "h"], [86400, "d"], [31536000, "y"]];
  function span(seconds) {
    if (seconds === null) return "";
    if (seconds === 0) return "0 s";
    if (seconds < 1) return `${seconds < 0.01 ? +(seconds * 1000).toFixed(1) : (seconds * 1000).toFixed(0)} ms`;
    if (seconds < 60) return `${+seconds.toFixed(1)} s`;
    const fitting = SPANS.filter(([unit]) => unit <= seconds);
    const [unit, name] = fitting[fitting.length - 1];
    const [below, small] = SPANS[fitting.length - 2];
    const rest = Math.floor((seconds % unit) / below);
    return `${Math.floor(seconds / unit)} ${name}${rest ? ` ${rest} ${small}` : ""}`;
  }

  // --- the table: sort, filter, open ---

  for (const head of table.tHead.rows[0].cells) {
    head.querySelector("button").addEventListener("click", () => sort(head));
  }
  function sort(head) {
    const numeric = head.dataset.kind === "number";
    const before = head.getAttribute("aria-sort");
    const order = before === null ? (numeric ? "descending" : "ascending")
      : before === "ascending" ? "descending" : "ascending";
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const value = (body) => {
      const text = body.rows[0].cells[head.cellIndex].dataset.value;
      return numeric ? Number(text) : text.toLowerCase();
    };
    const sign = order === "ascending" ? 1 : -1;
    const keyed = bodies.map((body) => [value(body), body]);
    keyed.sort(([a], [b]) => (a < b ? -sign : a > b ? sign : 0));
    table.append(...keyed.map(([, body]) => body));
  }

  const filter = document.getElementById("filter");
  const outcome = document.getElementById("outcome");
  const breached = document.getElementById("breached");
  const texts = bodies.map((body) => `${body.rows[0].textContent} ${body.dataset.breaches}`.toLowerCase());
  function narrow() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    bodies.forEach((body, index) => {
      const fits = words.every((word) => texts[index].includes(word))
        && (!outcome.value || body.rows[0].cells[2].dataset.value === outcome.value)
        && (!breached.checked || body.classList.contains("bad") || body.classList.contains("odd"));
      body.hidden = !fits;
      shown += fits;
    });
    const all = counted(bodies.length, "run");
    document.getElementById("count").value = shown === bodies.length ? all : `${number(shown)} of ${all}`;
  }
  for (const control of [filter, outcome, breached]) control.addEventListener("input", narrow);
  filter.form.addEventListener("submit", (event) => event.preventDefault());

  table.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row && String(getSelection()) === "") toggle(row.parentElement);
  });
  function toggle(body, open = body.rows[1].hidden) {
    const cell = body.rows[1].cells[0];
    body.rows[1].hidden = !open;
    body.querySelector(".open").setAttribute("aria-expanded", String(open));
    if (open && !cell.firstChild) cell.append(sheet(dataOf(body)));
    if (open) for (const each of cell.querySelectorAll(".timeline")) each.redraw();
    // opening by a link sets the hash itself; a file opened without a server may refuse to have it changed
    if (open && location.hash !== `#${body.id}`) try { history.replaceState(null, "", `#${body.id}`); } catch {}
  }
  function dataOf(body) {
    return JSON.parse(document.getElementById(`${body.id}-data`).textContent);
  }
  function follow() {
    const body = bodies.find((each) => `#${each.id}` === location.hash);
    if (!body) return;
    body.hidden = false;
    toggle(body, true);
    body.scrollIntoView();
  }
  addEventListener("hashchange", follow);

  // --- what an open row shows ---

  function sheet(run) {
    const detail = run.detail;
    const parts = [breaches(run)];
    if (detail) parts.push(timeline(run), columns(run), activities(detail));
    else parts.push(facts(run));
    return make("div", { class: "sheet" }, ...parts);
  }

  function breaches(run) {
    if (!run.breaches.length) return null;
    return make("section", { "aria-label": "Breaches" }, ...run.breaches.map((each) => make("div",
      { class: `breach ${each.level}` },
      make("p", {}, make("b", {}, `${each.guard}: `), ...coded(each.measured),
        each.limit === null ? "" : ` Limit: ${number(each.limit)} (${each.origin}).`),
      each.contributors.length ? make("ul", {}, ...each.contributors.map((line) => make("li", {}, ...coded(line)))) : null,
      make("p", {}, ...coded(each.advice)))));
  }

  function columns(run) {
    return make("div", { class: "columns" },
      make("section", {}, make("h2", {}, "Sizes against their limits"), sizes(run)),
      make("section", {}, make("h2", {}, "Run"), facts(run)));
  }

  function sizes(run) {
    const limits = run.limits;
    const rows = [
      ["the history", limits.history_events.value, limits.history_events.limit, "event"],
      ["the history", limits.history_bytes.value, limits.history_bytes.limit, "byte"],
      ...run.detail.payloads.map((each) =>
        [`${each.what} (event ${each.event})`, each.bytes, limits.payload_bytes.limit, "byte"]),
    ];
    const list = make("ul", { class: "sizes" }, ...rows.map(([what, value, limit, unit]) => {
      const share = value / limit;
      const whole = Math.max(1, share);
      return make("li", {},
        make("span", { class: "what" }, ...coded(what)),
        make("span", { class: `track ${share > 1 ? "over" : share > 0.5 ? "near" : ""}`, "aria-hidden": "true" },
          make("i", { "width%": (100 * share) / whole }),
          share > 1 ? make("b", { "left%": 100 / whole }) : null),
        make("span", { class: "amount" }, `${counted(value, unit)}, ${percent(share)} of ${number(limit)}`));
    }));
    const more = run.payloads.count - run.detail.payloads.length;
    return make("div", {}, list,
      more > 0 ? make("p", { class: "note" }, `${counted(more, "smaller payload")} not shown; all payloads together have ${size(run.payloads.bytes)}.`) : null);
  }

  function coded(text) {
    return text.split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
  }

  function facts(run) {
    const rows = [
      ["workflow id", make("code", {}, run.workflow_id)],
      ["run id", make("code", {}, run.run_id)],
      ["test", make("code", {}, run.test)],
      ["server", `${run.server}, namespace ${run.namespace}`],
      ["started", run.start ? run.start.replace("T", " ").replace(/(\.\d{3})\d*/, "$1").replace("+00:00", " UTC") : "unknown"],
      ["took", `${span(run.virtual_seconds)} on the server's clock`],
      ["activities", `${number(run.activities.count)} in ${counted(run.activities.attempts, "attempt")}`],
    ];
    if (run.parent) rows.push(["parent", link(run.parent, run.parent_run_id)]);
    if (run.continued_from) rows.push(["continues", link(run.continued_from, run.continued_from)]);
    if (run.detail) {
      for (const child of run.detail.children.slice(0, 10)) {
        rows.push(["child", make("span", {}, link(child.workflow_id, child.run_id), ` ${child.workflow}, ${child.outcome}`)]);
      }
      for (const failure of run.detail.task_failures) rows.push(["failed task", `${failure.type}: ${failure.message}`]);
    }
    return make("dl", { class: "facts" }, ...rows.flatMap(([name, value]) =>
      [make("dt", {}, name), make("dd", {}, value)]));
  }

  let byRunId = null;
  function link(text, runId) {
    byRunId ??= new Map(bodies.map((body) => [body.dataset.run, body.id]));
    const id = byRunId.get(runId);
    return id ? make("a", { href: `#${id}` }, text) : make("code", {}, text);
  }

  function activities(detail) {
    if (!detail.activities.length) return null;
    const types = rowsOf(["Activity", "Runs#", "Attempts#", "Failed#", "Longest#", "Total#"],
      detail.activity_types.map((each) => [each.type, number(each.count), number(each.attempts), number(each.failed),
        span(each.longest), span(each.seconds)]));
    const single = rowsOf(
      ["Activity", "Scheduled at#", "Took#", "Attempts#", "Beats#", "Longest gap#", "Heartbeat timeout#", "Outcome"],
      detail.activities.map((each) => [
        `${each.type}${each.local ? " (local)" : ""}`, span(each.scheduled_at),
        each.closed_at === null ? "" : span(each.closed_at - each.scheduled_at), number(each.attempt_count),
        number(each.attempts.reduce((sum, attempt) => sum + attempt.beat_count, 0)),
        span(each.longest_gap), span(each.heartbeat_timeout), outcomeOf(each)]));
    const omitted = detail.omitted.activities;
    return make("section", {}, make("h2", {}, "Activities"), types,
      make("details", {}, make("summary", {}, `Each activity (${number(detail.activities.length)})`), single,
        omitted ? make("p", { class: "note" }, `${number(omitted)} more, which neither failed nor took longer, are not shown.`) : null));
  }

  function outcomeOf(activity) {
    const kind = activity.timeout_type ? ` (${activity.timeout_type})` : "";
    return `${activity.outcome}${kind}${activity.failure ? `: ${activity.failure}` : ""}`;
  }

  function rowsOf(heads, rows) {
    const kind = (index) => (heads[index].endsWith("#") ? "number" : "");
    return make("div", { class: "scroll" }, make("table", { class: "list" },
      make("thead", {}, make("tr", {}, ...heads.map((head, index) =>
        make("th", { scope: "col", class: kind(index) }, head.replace("#", ""))))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, index) =>
        make("td", { class: kind(index) }, cell)))))));
  }

  // --- the timeline ---

  const GUTTER = 176, RIGHT = 28, LANE = 20, MOST_LANES = 12, AXIS = 26, IDLE = 0.01;
  const CATEGORIES = [
    ["c-bad", "failure", /FAILED|TIMED_OUT|TERMINATED/],
    ["c-message", "signal or update", /SIGNAL|UPDATE|EXTERNAL/],
    ["c-task", "workflow task", /^WORKFLOW_TASK/],
    ["c-workflow", "workflow", /^WORKFLOW_(EXECUTION|PROPERTIES)/],
    ["c-activity", "activity", /^ACTIVITY/],
    ["c-timer", "timer", /^TIMER/],
    ["c-child", "child workflow", /CHILD|NEXUS/],
    ["c-other", "other", /./],
  ];
  const FAILED = ["failed", "timed out"];
  const category = (type) => CATEGORIES.find(([, , pattern]) => pattern.test(type));

  function timeline(run) {
    const detail = run.detail;
    const lanes = lanesOf(detail);
    const points = pointsOf(detail, run);
    const box = make("div", { class: "timeline" });
    const gaps = points.slice(1).map((point, index) => point - points[index]);
    let squeezed = gaps.length > 1 && Math.max(...gaps) > 0.4 * (points[points.length - 1] - points[0]);
    let drawn = 0;
    box.redraw = (force = false) => {
      const width = Math.max(480, Math.floor(box.clientWidth));
      if (!box.clientWidth || (!force && width === drawn)) return;
      drawn = width;
      box.replaceChildren(picture(run, lanes, scaleOf(points, squeezed, GUTTER, width - RIGHT), width));
    };
    new ResizeObserver(() => box.redraw()).observe(box);
    const choose = (value) => { squeezed = value; buttons.forEach(([each, mine]) => each.setAttribute("aria-pressed", String(mine === value))); box.redraw(true); };
    const buttons = [["To scale", false], ["Idle time squeezed", true]].map(([text, mine]) => {
      const button = make("button", { type: "button", "aria-pressed": String(mine === squeezed) }, text);
      button.addEventListener("click", () => choose(mine));
      return [button, mine];
    });
    return make("section", {},
      make("div", { class: "bar" }, make("h2", {}, "Timeline on the server's clock"),
        make("div", { class: "switch", role: "group", "aria-label": "Scale of the timeline" }, ...buttons.map(([each]) => each))),
      box, legend(detail), omissions(detail));
  }

  function omissions(detail) {
    const told = Object.entries(detail.omitted).filter(([kind, count]) => count && kind !== "events")
      .map(([kind, count]) => `${number(count)} ${kind}`);
    if (detail.omitted.events) told.push(`${number(detail.omitted.events)} events one by one (shown by share of kinds)`);
    return told.length ? make("p", { class: "note" }, `Not drawn: ${told.join(", ")}.`) : null;
  }

  function legend(detail) {
    const seen = new Set(Object.keys(detail.event_types).map((type) => category(type)[1]));
    const wrong = (attempt) => FAILED.includes(attempt.outcome);
    if (detail.activities.some((each) => each.attempts.some(wrong))) seen.add("failure");
    const items = CATEGORIES.filter(([, name]) => seen.has(name))
      .map(([kind, name]) => make("li", {}, make("i", { class: kind }), name));
    if (detail.activities.some((each) => each.attempts.some((attempt) => attempt.beat_count))) {
      items.push(make("li", {}, make("i", { class: "beat" }), "heartbeat"));
    }
    if (detail.activities.some((each) => each.attempts.some((attempt) => late(each, attempt).length))) {
      items.push(make("li", {}, make("i", { class: "gap c-bad" }), "no beat for longer than the heartbeat timeout"));
    }
    return make("ul", { class: "legend" }, ...items);
  }

  function late(activity, attempt) {
    if (activity.heartbeat_timeout === null || attempt.end_at === null) return [];
    const whole = attempt.beats.length === attempt.beat_count;
    const marks = [attempt.start_at, ...attempt.beats, ...(whole ? [attempt.end_at] : [])];
    return marks.slice(1).map((mark, index) => [marks[index], mark])
      .filter(([from, to]) => to - from > activity.heartbeat_timeout);
  }

  function lanesOf(detail) {
    const groups = new Map();
    const add = (label, item) => (groups.get(label) ?? groups.set(label, []).get(label)).push(item);
    for (const each of detail.activities) {
      const end = each.closed_at ?? each.started_at ?? each.scheduled_at;
      add(each.type, { kind: "activity", from: each.scheduled_at, to: end, data: each });
    }
    for (const each of detail.timers) {
      add("timers", { kind: "timer", from: each.at, to: each.end_at ?? each.at + each.seconds, data: each });
    }
    for (const each of detail.children) {
      add(each.workflow, { kind: "child", from: each.at, to: each.end_at ?? each.at, data: each });
    }
    const lanes = [];
    const counts = new Map(detail.activity_types.map((each) => [each.type, each.count]));
    counts.set("timers", detail.timers.length + detail.omitted.timers);
    for (const [label, items] of groups) {
      const count = counts.get(label) ?? items.length;
      const rows = [];
      let left = 0;
      for (const item of items.sort((a, b) => a.from - b.from)) {
        const free = rows.find((row) => row[row.length - 1].to <= item.from);
        if (free) free.push(item);
        else if (rows.length < MOST_LANES) rows.push([item]);
        else left += 1;
      }
      rows.forEach((row, index) => lanes.push({
        label: index ? "" : count > 1 ? `${label} \u00d7${number(count)}` : label,
        items: row, more: left && index === rows.length - 1 ? left : 0,
      }));
    }
    return lanes;
  }

  function pointsOf(detail, run) {
    const found = new Set([0, run.virtual_seconds]);
    for (const each of detail.events) found.add(each.at);
    for (const each of detail.bins) { found.add(each.at); found.add(each.until); }
    for (const each of detail.activities) {
      for (const attempt of each.attempts) {
        found.add(attempt.start_at);
        if (attempt.end_at !== null) found.add(attempt.end_at);
        for (const beat of attempt.beats) found.add(beat);
      }
    }
    return [...found].filter((each) => each !== null).sort((a, b) => a - b);
  }

  // True to scale, or each span between two points as wide as its logarithm: months of waiting leave room for work.
  function scaleOf(points, squeezed, left, right) {
    const weight = (gap) => (squeezed ? Math.log1p(gap / IDLE) + 0.05 : gap);
    const sums = [0];
    for (let i = 1; i < points.length; i += 1) sums.push(sums[i - 1] + weight(points[i] - points[i - 1]));
    const whole = sums[sums.length - 1] || 1;
    const x = (time) => {
      let low = 0, high = points.length - 1;
      if (time <= points[0]) return left;
      if (time >= points[high]) return right;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (points[middle] <= time) low = middle; else high = middle;
      }
      const part = (time - points[low]) / (points[high] - points[low]);
      return left + ((sums[low] + part * (sums[high] - sums[low])) / whole) * (right - left);
    };
    x.ticks = () => (squeezed ? pointTicks(points, x) : evenTicks(points, x, right - left));
    return x;
  }
  function evenTicks(points, x, width) {
    const end = points[points.length - 1];
    const steps = [1, 2, 5, 10, 15, 20, 30];
    const units = [0.001, 0.01, 0.1, 1, 60, 3600, 86400, 864000, 31536000, 315360000];
    const all = units.flatMap((unit) => steps.map((step) => unit * step)).sort((a, b) => a - b);
    const step = all.find((each) => end / each <= width / 110) ?? end;
    const ticks = [];
    for (let at = 0; at <= end && step > 0; at += step) ticks.push(at);
    return ticks.length > 1 ? ticks : [0, end];
  }
  function pointTicks(points, x) {
    const ticks = [];
    let last = -Infinity;
    for (const point of points) {
      if (x(point) - last >= 96) { ticks.push(point); last = x(point); }
    }
    return ticks;
  }

  function picture(run, lanes, x, width) {
    const height = AXIS + 34 + lanes.length * LANE + 12;
    const words = `Timeline of ${run.workflow}: ${counted(run.events, "event")}, ${counted(run.activities.count, "activity", "activities")}, `
      + `${counted(run.detail.timers.length, "timer")}, ${counted(run.detail.children.length, "child workflow")} in ${span(run.virtual_seconds)}. The tables below tell the same.`;
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": words });
    let before = null;
    for (const tick of x.ticks()) {
      const at = x(tick);
      // two moments of the same day would both read "1 d"
      const same = before !== null && span(before) === span(tick);
      const text = same ? `+${span(Math.max(0, tick - before))}` : span(tick);
      before = tick;
      svg.append(draw("line", { class: "grid", x1: at, x2: at, y1: AXIS - 4, y2: height }));
      svg.append(draw("text", { x: at, y: 16, "text-anchor": at > width - 60 ? "end" : at < GUTTER + 20 ? "start" : "middle" }, text));
    }
    svg.append(draw("text", { class: "label", x: 12, y: AXIS + 18 }, "events"));
    svg.append(...events(run.detail, x));
    lanes.forEach((lane, index) => {
      const y = AXIS + 34 + index * LANE;
      const text = lane.label.length > 24 ? `${lane.label.slice(0, 23)}\u2026` : lane.label;
      if (text) svg.append(draw("text", { class: "label", x: 12, y: y + 14 }, text, draw("title", {}, lane.label)));
      if (lane.more) svg.append(draw("text", { x: 12, y: y + 14 }, `and ${number(lane.more)} more`));
      for (const item of lane.items) svg.append(...PAINT[item.kind](item, x, y));
    });
    return svg;
  }

  function events(detail, x) {
    const y = AXIS + 4, tall = 18;
    const marks = detail.events.map((each) => draw("rect",
      { class: category(each.type)[0], x: x(each.at) - 1, y, width: 2, height: tall, rx: 1 },
      draw("title", {}, `event ${each.id}, ${each.type}, at ${span(each.at)}, ${size(each.bytes)}`)));
    for (const bin of detail.bins) {
      const from = x(bin.at), wide = Math.max(2, x(bin.until) - from - 1);
      const group = draw("g", {}, draw("title", {},
        `events ${bin.first} to ${bin.first + bin.events - 1}, ${span(bin.at)} to ${span(bin.until)}, ${size(bin.bytes)}\n`
        + Object.entries(bin.types).map(([type, count]) => `${number(count)} ${type}`).join("\n")));
      const shares = new Map();
      for (const [type, count] of Object.entries(bin.types)) {
        const kind = category(type)[0];
        shares.set(kind, (shares.get(kind) ?? 0) + count);
      }
      let top = y;
      for (const [kind] of CATEGORIES) {
        const part = (tall * (shares.get(kind) ?? 0)) / bin.events;
        if (part) group.append(draw("rect", { class: kind, x: from, y: top, width: wide, height: part }));
        top += part;
      }
      marks.push(group);
    }
    return marks;
  }

  function bar(kind, from, to, y, tall, title) {
    const attributes = { class: kind, x: from, y, width: Math.max(3, to - from), height: tall, rx: Math.min(2, tall / 2) };
    return draw("rect", attributes, draw("title", {}, title));
  }

  const PAINT = {
    activity({ data, from, to }, x, y) {
      const took = data.closed_at === null ? "not ended" : `${span(to - from)}`;
      const title = `${data.type}: ${outcomeOf(data)}, ${counted(data.attempt_count, "attempt")}, ${took}`;
      const marks = [bar("wait", x(from), x(to), y + 8, 4, title)];
      if (!data.attempts.length && data.started_at !== null) {
        marks.push(bar(data.outcome === "completed" ? "c-activity" : "c-bad", x(data.started_at), x(to), y + 4, 12, title));
      }
      for (const attempt of data.attempts) marks.push(...attemptMarks(data, attempt, x, y));
      if (data.outcome === "timed out") marks.push(bar("c-bad", x(to) - 1, x(to) + 1, y + 2, 16, title));
      return marks;
    },
    timer({ data, from, to }, x, y) {
      const title = `timer of ${span(data.seconds)}, set at ${span(from)}, ${data.outcome}`;
      return [bar(data.outcome === "cancelled" ? "wait" : "c-timer", x(from), x(to), y + 6, 8, title)];
    },
    child({ data, from, to }, x, y) {
      const kind = ["completed", "running"].includes(data.outcome) ? "c-child" : "c-bad";
      return [bar(kind, x(from), x(to), y + 6, 8, `${data.workflow} (id ${data.workflow_id}): ${data.outcome}`)];
    },
  };

  function attemptMarks(activity, attempt, x, y) {
    const from = x(attempt.start_at), to = attempt.end_at === null ? from : x(attempt.end_at);
    const wrong = FAILED.includes(attempt.outcome);
    const gap = attempt.longest_gap === null ? "" : `, longest time without a beat ${span(attempt.longest_gap)}`;
    const title = `${activity.type}, attempt ${attempt.number}: ${attempt.outcome}, began at ${span(attempt.start_at)}, `
      + `${counted(attempt.beat_count, "beat")}${gap}${attempt.resumed ? ", resumed from the details of a beat" : ""}`;
    const marks = [bar(wrong ? "c-bad" : attempt.outcome === "cancelled" ? "c-other" : "c-activity", from, to, y + 4, 12, title)];
    for (const beat of attempt.beats) {
      if (to - from > 6) marks.push(draw("line", { class: "beat", x1: x(beat), x2: x(beat), y1: y + 4, y2: y + 16 }));
    }
    for (const [start, end] of late(activity, attempt)) {
      marks.push(bar("gap", x(start), x(end), y + 17, 3, `no beat for ${span(end - start)}; heartbeat timeout ${span(activity.heartbeat_timeout)}`));
    }
    return marks;
  }

  follow();
})();
