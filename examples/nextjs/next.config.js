import { fileURLToPath } from 'node:url';

/** @type {import('next').NextConfig} */
export default {
  // Loaded by Node itself and not bundled: the database driver has a native part.
  serverExternalPackages: ['perdure', 'knex', 'sqlite3'],
  // The shop is outside of this folder, and in this repository Perdure is, too.
  turbopack: { root: fileURLToPath(new URL('../..', import.meta.url)) },
};
