export { type HttpOptions, perdureHttp } from './plugin.ts';
