// What the compiler leaves behind: the page's files, the texts that are read at run time, and what `perdure init` copies.
import { cpSync } from 'node:fs';

cpSync('src/console/page', 'dist/src/console/page', { recursive: true });
cpSync('prompts', 'dist/prompts', { recursive: true });
cpSync('template', 'dist/template', { recursive: true });
