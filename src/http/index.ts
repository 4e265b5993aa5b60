export { createHttpService, type HttpOptions, perdureHttp } from './plugin.ts';
