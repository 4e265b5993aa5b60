/**
 * The page of the inspector: Stately's own, in a frame, which it hands what the WebSocket brings. The messages go from
 * this machine to the frame in the browser.
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
  </style>
</head>
<body>
  <p>Live actors, shown by a page of stately.ai in this browser. Participants' data are ${
    unmasked ? '<strong>not masked</strong>' : 'masked'
  }. <span id="status" role="status">Connecting …</span></p>
  <iframe id="inspector" title="Stately Inspector" src="https://stately.ai/inspect"></iframe>
  <script>
    const { contentWindow } = document.getElementById('inspector');
    const waiting = [];
    let ready = false;
    const show = (message) => contentWindow.postMessage(message, 'https://stately.ai');
    addEventListener('message', ({ data, origin }) => {
      if (origin !== 'https://stately.ai' || data?.type !== '@statelyai.connected') return;
      ready = true;
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
