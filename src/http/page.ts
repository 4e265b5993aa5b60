import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import * as is from './schemas.ts';

const FILES: [path: string, file: string, type: string][] = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
];

/** The page on which one enrols a phone and chats as the participant. */
export async function pageRoutes(app: FastifyInstance): Promise<void> {
  for (const [path, file, type] of FILES) {
    const content = await readFile(new URL(`./page/${file}`, import.meta.url));
    app.get(path, { schema: { querystring: is.anything } }, ({ url }, reply) => {
      const [asked = '', ...query] = url.split('?');
      // The page's own paths are relative to its folder, so that it works below any prefix.
      if (path === '/' && !asked.endsWith('/'))
        return reply.redirect([`${asked.slice(asked.lastIndexOf('/') + 1)}/`, ...query].join('?'));
      return reply
        .type(type)
        .header('content-security-policy', "default-src 'self'; img-src 'self' data:")
        .header('x-content-type-options', 'nosniff')
        .send(content);
    });
  }
}
