/**
 * The page of the inspector: Stately's own, in a frame, which it hands what the WebSocket brings. The messages go from
 * this machine to the frame in the browser. Where Stately's page cannot be reached, the frame would be blank: the page says so.
 */
export const inspectorPage = (unmasked: boolean): string => `<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>Perdure: live actors</title>
  <style>
    html, body { height: 100%; margin: 0; font: 14px system-ui, sans-serif; }
    body { display: flex; flex-direction: column; }
    p { margin: 0; padding: 6px 12px; background: ${unmasked ? '#fde2e1' : '#eef2f6'}; }
    iframe { flex: 1; border: 0; }
    #unreached { flex: 1; padding: 12px; max-width: 70ch; }
    #unreached p { padding: 6px 0; background: none; }
    [hidden] { display: none; }
  </style>
</head>
<body>
  <p>Live actors, shown by a page of stately.ai in this browser. Participants' data are ${
    unmasked ? '<strong>not masked</strong>' : 'masked'
  }. <span id="status" role="status">Connecting …</span></p>
  <iframe id="inspector" title="Stately Inspector" src="https://stately.ai/inspect"></iframe>
  <div id="unreached" role="alert" hidden>
    <p><strong>The inspector cannot be shown: https://stately.ai/inspect does not answer.</strong> It is a page of stately.ai,
    which this browser loads from the internet. The actors run on.</p>
    <p>Look whether this browser is online, and whether a proxy, a firewall or an extension keeps stately.ai from it; then
    reload this page. Without the internet, <code>perdure machine export FLOW --format svg</code> draws a machine, and
    <code>GET /participants/ID/state</code> of the server tells where a participant stands.</p>
  </div>
  <script>
    const frame = document.getElementById('inspector');
    const unreached = document.getElementById('unreached');
    const { contentWindow } = frame;
    const waiting = [];
    let ready = false;
    const reached = (is) => { frame.hidden = !is; unreached.hidden = is; };
    // A frame does not tell that its page failed to load, a request does; the page may also load and never speak.
    fetch(frame.src, { mode: 'no-cors', cache: 'no-store' }).catch(() => reached(ready));
    setTimeout(() => reached(ready), 15000);
    const show = (message) => contentWindow.postMessage(message, 'https://stately.ai');
    addEventListener('message', ({ data, origin }) => {
      if (origin !== 'https://stately.ai' || data?.type !== '@statelyai.connected') return;
      ready = true;
      reached(true);
      waiting.splice(0).forEach(show);
    });
    const status = document.getElementById('status');
    const socket = new WebSocket('ws://' + location.host + '/' + location.search);
    socket.onopen = () => { status.textContent = ''; };
    socket.onclose = ({ reason }) => { status.textContent = 'The connection has ended. ' + (reason || 'Reload the page to look again.'); };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (ready) show(message);
      else waiting.push(message);
    };
  </script>
</body>
</html>
`;
