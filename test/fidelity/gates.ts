/**
 * Gates hold promises until a step of the script opens them. An open gate lets pass at once, so that a promise function
 * that is run again after a restore does the same as the first time.
 */
interface Gate {
  opened: Promise<void>;
  open(): void;
}

let gates = new Map<string, Gate>();

/** Resolves once a step `{ open: name }` has been made. */
export const passed = (name: string): Promise<void> => gate(name).opened;

export const openGate = (name: string): void => gate(name).open();

/** Closes all gates, for the next run. */
export function closeGates(): void {
  gates = new Map();
}

function gate(name: string): Gate {
  let found = gates.get(name);
  if (!found) {
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    found = { opened, open };
    gates.set(name, found);
  }
  return found;
}
