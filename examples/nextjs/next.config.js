/** @type {import('next').NextConfig} */
export default {
  // Loaded by Node itself and not bundled: the database driver has a native part.
  serverExternalPackages: ['perdure', 'knex', 'sqlite3'],
};
