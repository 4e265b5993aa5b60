import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import * as is from '../http/schemas.ts';

const FILES: [path: string, file: string, type: string][] = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
];

/** The page is made of its own files alone, and asks nobody but this server. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page on which one enrols a phone and chats as the participant. */
export async function pageRoutes(app: FastifyInstance): Promise<void> {
  for (const [path, file, type] of FILES) {
    const content = await readFile(new URL(`./page/${file}`, import.meta.url));
    app.get(path, { schema: { querystring: is.anything }, config: { perdure: 'open' } }, ({ url }, reply) => {
      const [asked = '', ...query] = url.split('?');
      // The page's own paths are relative to its folder, so that it works below any prefix.
      if (path === '/' && !asked.endsWith('/'))
        return reply.redirect([`${asked.slice(asked.lastIndexOf('/') + 1)}/`, ...query].join('?'));
      return reply.type(type).header('content-security-policy', POLICY).send(content);
    });
  }
}
