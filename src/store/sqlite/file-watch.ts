/**
 * Notices that the file of a running database is not the one any more that was opened: it was removed, renamed or written
 * over, or its log or lock was. SQLite would go on in a file that has no name, and all that is acknowledged would be gone
 * with the process.
 *
 * - Before and after each transaction, inodes are compared: what is acknowledged is in the file of that name.
 * - Twice a second, {@link FileWatch.look} does so as well, for while nothing is written.
 * - A file that comes back is good again. One that was written over, or that another process has worked on, is not.
 */
import { setInterval } from 'node:timers';
import { StoreError } from '../../errors.ts';
import { Checkpoints } from './checkpoints.ts';
import { type DatabaseLock, inodeOf } from './lock.ts';

/** In ms. */
const EVERY = 500;

/** Told what is wrong, in words; `undefined`: nothing any more. */
export type OnTrouble = (trouble: string | undefined) => void;

export class FileWatch {
  readonly #file: string;
  readonly #lock: DatabaseLock;
  readonly #checkpoints: Checkpoints;
  readonly #onTrouble: OnTrouble;
  readonly #inodes: [path: string, inode: number | undefined][];
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** What was wrong at the last look. */
  #trouble: StoreError | undefined;
  /** What is wrong for good. */
  #lost: StoreError | undefined;

  private constructor(file: string, lock: DatabaseLock, checkpoints: Checkpoints, onTrouble: OnTrouble) {
    this.#file = file;
    this.#lock = lock;
    this.#checkpoints = checkpoints;
    this.#onTrouble = onTrouble;
    this.#inodes = ['', '-wal', '-shm'].map((end) => [file + end, inodeOf(file + end)]);
  }

  /** @param file its true name; it is open, and in WAL mode */
  static async open(file: string, lock: DatabaseLock, onTrouble: OnTrouble): Promise<FileWatch> {
    return new FileWatch(file, lock, await Checkpoints.open(file), onTrouble);
  }

  /** Carries over what the migrations wrote, and looks from now on. The tables must be there. */
  async start(): Promise<void> {
    await this.#checkpoints.now();
    // Node's own: it goes on where a test has put the global one aside.
    this.#timer = setInterval(() => void this.look().catch(() => {}), EVERY).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking?.catch(() => {});
    await this.#checkpoints.close();
  }

  /**
   * Before a transaction: nothing, where all is well; else a promise, which resolves where that could be mended.
   * @throws {StoreError} (by the promise) nothing may be written
   */
  before(): Promise<void> | undefined {
    return this.#trouble || this.#checkpoints.isUnsure || !this.#lock.isHeld ? this.look() : undefined;
  }

  /**
   * After a transaction, likewise: what was written into a file without a name is not written.
   * @throws {StoreError} (by the promise) nothing may be acknowledged
   */
  after(): Promise<void> | undefined {
    return this.#checkpoints.isLogHeld ? this.before() : this.look();
  }

  /**
   * Looks at everything, mends a lock that was removed, and carries the log over where it is time.
   * @throws {StoreError} something is wrong that cannot be mended
   */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .then(
        () => this.#tell(undefined),
        (error) => {
          this.#tell(error);
          throw error;
        },
      )
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  async #look(): Promise<void> {
    if (this.#lost) throw this.#lost;
    const changed = this.#changed();
    if (changed !== undefined) {
      const error = this.#gone(changed);
      // What is in a log without a name is carried into the file, so that it is in there when the process ends.
      if (!this.#trouble) await this.#checkpoints.now().catch(() => {});
      throw error;
    }
    if (!this.#lock.isHeld) {
      const other = await this.#lock.retake();
      if (other) this.#lose(this.#taken(other.pid));
    }
    const isOurs = await this.#checkpoints.isOurs().catch((error: StoreError) => {
      if (error.reason === 'busy') return true;
      throw this.#writtenOver(error);
    });
    if (!isOurs) this.#lose(this.#writtenOver());
    await this.#checkpoints.look();
  }

  #lose(error: StoreError): never {
    this.#lost = error;
    throw error;
  }

  #tell(trouble: StoreError | undefined): void {
    if (trouble?.message === this.#trouble?.message) return;
    this.#trouble = trouble;
    this.#onTrouble(trouble?.message);
  }

  /** The first of the files that is not the one that was opened. */
  #changed(): string | undefined {
    for (const [path, inode] of this.#inodes) if (inodeOf(path) !== inode) return path;
    return undefined;
  }

  #gone(path: string): StoreError {
    const isThere = inodeOf(path) !== undefined;
    const what = isThere ? 'was replaced by another file' : 'was removed or renamed';
    return new StoreError(
      'io',
      path === this.#file
        ? `The database ${path} ${what} while this process runs on it: nothing is written any more. Put the file back that was there (mv), ` +
            'and it goes on by itself. Or stop this process, and restore a backup (docs/backup.md).'
        : `${path} ${what} while this process runs on it: nothing is written any more. Stop this process (SIGTERM, not SIGKILL) and start it again: ` +
            'what it has acknowledged is in the database.',
    );
  }

  #taken(pid: number | undefined): StoreError {
    return new StoreError(
      'io',
      `The lock of the database ${this.#file} was removed, and ${pid === undefined ? 'another process' : `the process with pid ${pid}`} has taken it: ` +
        'this one writes nothing any more. Stop one of them; start this one again where it is to be the one that runs.',
    );
  }

  #writtenOver(cause?: Error): StoreError {
    return new StoreError(
      'io',
      `The database ${this.#file} was written over while this process runs on it: nothing is written any more. Stop this process, remove ` +
        `${this.#file}-wal and ${this.#file}-shm, put the file there that you want, and start again (docs/backup.md).`,
      { cause },
    );
  }
}
