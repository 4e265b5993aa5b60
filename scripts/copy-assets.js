// What the compiler leaves behind: the page's files, and the texts that are read at run time.
import { cpSync } from 'node:fs';

cpSync('src/http/page', 'dist/src/http/page', { recursive: true });
cpSync('prompts', 'dist/prompts', { recursive: true });
