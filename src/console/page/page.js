// The page: enrol a phone, chat as the participant, and watch the actor. Text from people goes in as text, never as markup.
// Paths are relative: the service may be below a prefix.
const $ = (id) => document.getElementById(id);
const paths = { intervention: 'intervention/participants', conversation: 'conversation/participants' };

let chosen;
/** How far the server's clock is from this one, and how fast it runs beside it. */
const clock = { server: 0, local: 0, scale: 1 };

/** The server's token, where it has one; kept for as long as this tab is open. */
const TOKEN = 'perdure.token';
const token = () => sessionStorage.getItem(TOKEN);

class TokenWanted extends Error {}

async function call(path, body) {
  const response = await fetch(path, {
    headers: {
      ...(token() && { authorization: `Bearer ${token()}` }),
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { method: 'POST', body: JSON.stringify(body) }),
  });
  const answer = await response.json();
  if (response.status === 401) throw new TokenWanted(answer.message);
  if (answer.status !== 'ok') throw new Error(answer.message);
  return answer.result;
}

function element(tag, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/** Replaces the children only where something changed, so that focus and scroll positions stay. */
function fill(parent, key, children) {
  if (parent.dataset.key === key) return false;
  parent.dataset.key = key;
  parent.replaceChildren(...children());
  return true;
}

const serverNow = () => clock.server + (Date.now() - clock.local) * clock.scale;
const hour = (instant) => new Date(instant).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });

function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const [d, h, m, s] = [
    Math.floor(seconds / 86400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
    seconds % 60,
  ];
  const two = (n) => String(n).padStart(2, '0');
  return `${d > 0 ? `${d} d ` : ''}${two(h)}:${two(m)}:${two(s)}`;
}

/** So many participants of each flow are shown. */
let shown = 100;

async function peopleOf([flow, path]) {
  const people = [];
  for (let limit; people.length < shown; ) {
    limit = Math.min(shown - people.length, 1000);
    const after = people.length > 0 ? `&after=${encodeURIComponent(people.at(-1).id)}` : '';
    const page = await call(`${path}?limit=${limit}${after}`);
    people.push(...page.map((person) => ({ ...person, flow })));
    if (page.length < limit) break;
  }
  return people;
}

async function showPeople() {
  const lists = await Promise.all(Object.entries(paths).map(peopleOf));
  $('more').hidden = lists.every((list) => list.length < shown);
  const people = lists.flat();
  fill($('people'), JSON.stringify([people, chosen?.id]), () =>
    people.map((person) =>
      element(
        'li',
        {},
        element(
          'button',
          { type: 'button', ariaPressed: String(person.id === chosen?.id), onclick: () => choose(person) },
          person.name || person.phone_number,
          element('small', {
            text: `${person.name ? `${person.phone_number}, ` : ''}${person.flow}, ${person.status}`,
          }),
        ),
      ),
    ),
  );
}

function choose(person) {
  chosen = person;
  $('chat-title').textContent = person.name ? `${person.name}, ${person.phone_number}` : person.phone_number;
  for (const control of $('say').elements) control.disabled = false;
  $('chat').dataset.key = '';
  refresh();
  $('text').focus();
}

async function showChosen() {
  if (!chosen) return;
  const { id } = chosen;
  const path = `participants/${encodeURIComponent(id)}`;
  const [messages, state, journal] = await Promise.all(
    ['messages', 'state', 'journal'].map((what) => call(`${path}/${what}`)),
  );
  if (id !== chosen.id) return;
  showMessages(messages);
  $('state').textContent = state.state;
  fill($('timers'), JSON.stringify(state.timers), () =>
    state.timers.map(({ event, dueAt }) =>
      element(
        'li',
        { title: event.type },
        element('span', { text: deadlineName(event.type) }, element('br'), element('small', { text: hour(dueAt) })),
        element('b', { dueAt }),
      ),
    ),
  );
  if (state.timers.length === 0) $('timers').textContent = 'none';
  fill($('context'), JSON.stringify(state.context), () =>
    Object.entries(state.context ?? {}).flatMap(([key, value]) => [
      element('dt', { text: key }),
      element('dd', { text: typeof value === 'string' ? value : JSON.stringify(value) }),
    ]),
  );
  fill($('journal'), JSON.stringify(journal), () =>
    journal.slice(0, 30).map(({ event, to, at, late_ms }) =>
      element('li', {
        text: `${hour(at)}: ${deadlineName(event)} → ${to}${late_ms === null ? '' : ` (${late_ms} ms late)`}`,
      }),
    ),
  );
}

/** `xstate.after.<delay>.<state>` as people say it. */
const deadlineName = (type) => {
  const after = /^xstate\.after\.([^.]+)\..*?([^.]+)$/.exec(type);
  return after ? `${after[1]} in ${after[2]}` : type;
};

function showMessages(messages) {
  const chat = $('chat');
  const changed = fill(chat, messages.map(({ id }) => id).join(), () =>
    messages.map(({ direction, text, at }) =>
      element('li', { className: direction, text }, element('time', { dateTime: at, text: hour(at) })),
    ),
  );
  if (!changed) return;
  const last = messages.at(-1);
  const options = last?.direction === 'out' ? (last.options ?? []) : [];
  $('options').replaceChildren(
    ...options.map(({ id, label }) => element('button', { type: 'button', text: label, onclick: () => say(id) })),
  );
  chat.scrollTop = chat.scrollHeight;
}

async function say(text) {
  $('say-error').textContent = '';
  try {
    await call('messages', { channel: 'web', id: crypto.randomUUID(), from: chosen.phone_number, text });
    await refresh();
    return true;
  } catch (error) {
    $('say-error').textContent = error.message;
    return false;
  }
}

$('say').addEventListener('submit', async (event) => {
  event.preventDefault();
  const input = $('text');
  if (input.value.trim() && (await say(input.value))) input.value = '';
});

$('more').addEventListener('click', () => {
  shown += 100;
  refresh();
});

$('unlock').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $('token').value.trim());
  $('token').value = '';
  refresh();
});

/** Asks for the token, and says so where the one that was given is not the server's. */
function lock(locked) {
  if ($('unlock').hidden === !locked) return;
  $('unlock').hidden = !locked;
  for (const part of document.querySelectorAll('main, header p')) part.hidden = locked;
  if (locked) $('token').focus();
}

$('enrol').addEventListener('submit', async (event) => {
  event.preventDefault();
  const { flow, ...fields } = Object.fromEntries(new FormData(event.target));
  for (const key of Object.keys(fields)) if (!fields[key]) delete fields[key];
  $('enrol-error').textContent = '';
  try {
    const participant = await call(paths[flow], fields);
    event.target.elements.phone_number.value = '';
    event.target.elements.name.value = '';
    choose({ ...participant, flow });
  } catch (error) {
    $('enrol-error').textContent = error.message;
  }
});

function showStatus({ status, health, troubles, flows, messages }) {
  const sum = (name) => Object.values(flows).reduce((total, flow) => total + flow[name], 0);
  const figures = [
    `${sum('turns')} turns`,
    `${messages.sent} messages sent`,
    `${sum('quarantined')} quarantined`,
    `${sum('deadLetters')} dead letters`,
  ];
  $('runtime').textContent = `${status}, ${health}: ${figures.join(', ')}`;
  $('runtime').title = Object.values(troubles).join('\n');
  $('runtime').dataset.health = health;
}

async function refresh() {
  try {
    const status = await call('status');
    if (status.status !== 'running') throw new Error(`it is ${status.status}`);
    showStatus(status);
    const { now } = status;
    const [server, local] = [Date.parse(now), Date.now()];
    if (clock.local && local - clock.local > 200) clock.scale = (server - clock.server) / (local - clock.local);
    Object.assign(clock, { server, local });
    await Promise.all([showPeople(), showChosen()]);
    document.body.dataset.connected = 'true';
    lock(false);
  } catch (error) {
    if (error instanceof TokenWanted) {
      $('unlock-error').textContent = token() === null ? '' : 'That is not the token of this server.';
      return lock(true);
    }
    document.body.dataset.connected = 'false';
    $('clock').textContent = `The server does not answer (${error.message}). Trying again.`;
  }
}

$('enrol').elements.timezone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
setInterval(() => $('unlock').hidden && refresh(), 1000);
setInterval(() => {
  if (!clock.local || document.body.dataset.connected === 'false') return;
  $('clock').textContent = hour(serverNow()) + (clock.scale > 1.5 ? `, ${Math.round(clock.scale)} × as fast` : '');
  for (const left of $('timers').querySelectorAll('b')) left.textContent = countdown(left.dueAt - serverNow());
}, 250);
refresh();
