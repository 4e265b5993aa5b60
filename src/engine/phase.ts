/** How far the engine has come, which says what its parts may still do. */
export class Phase {
  now: 'new' | 'running' | 'draining' | 'stopped' = 'new';
  /** It takes commands, but does nothing of itself. */
  quiet = false;

  get running(): boolean {
    return this.now === 'running';
  }

  get stopped(): boolean {
    return this.now === 'stopped';
  }
}
