/**
 * The versions of a flow that are registered. New actors start on the newest. An actor of an older one goes on in the
 * newest version that it can get to: by `migrate`, or because it is its own.
 */
import { type Shape, shapeOf } from '../actor/shape.ts';
import { InvalidArgumentError } from '../errors.ts';
import { type AnyFlow, assertFlows } from './flow.ts';

/** Where an actor of a version goes on. */
export type Way = { flow: AnyFlow; why?: undefined } | { flow?: undefined; why: string };

export class FlowVersions {
  /** The newest first. */
  readonly all: readonly AnyFlow[];
  /** The shapes that a version was seen with in the database, the one that was first seen first. */
  readonly recorded = new Map<number, readonly Shape[]>();
  readonly #ways = new Map<number, Way>();

  constructor(all: readonly AnyFlow[]) {
    this.all = [...all].sort((a, b) => b.version - a.version);
  }

  get newest(): AnyFlow {
    return this.all[0]!;
  }

  /** Whether the row is of a newer version than any that is registered, e.g. after a rollback: nobody here can read it. */
  isOlderThan({ flow_version }: { flow_version: number }): boolean {
    return flow_version > this.newest.version;
  }

  /** Where an actor of that version goes on, or why it cannot. */
  from(version: number): Way {
    let way = this.#ways.get(version);
    if (!way) {
      way = this.#find(version);
      this.#ways.set(version, way);
    }
    return way;
  }

  /** The shapes that the machine of that version may have had; none: nothing is known of it. */
  shapesOf(version: number): readonly Shape[] {
    const recorded = this.recorded.get(version) ?? [];
    const flow = this.all.find((each) => each.version === version);
    if (!flow) return recorded;
    // What was recorded is what actors were made with; the present machine counts where nothing was.
    return recorded.length > 0 ? recorded : [shapeOf(flow.logic)];
  }

  #find(version: number): Way {
    const { newest } = this;
    for (const flow of this.all) if (flow.version >= version && missing(flow, version) === undefined) return { flow };
    if (version > newest.version) return { why: "start the release of Perdure's application that wrote it" };
    return {
      why: `defineFlow has no migrate[${missing(newest, version)}], and version ${version} is not registered; give either, see docs/evolving.md`,
    };
  }
}

/** The first step that is missing on the way to the flow's version. */
function missing(flow: AnyFlow, from: number): number | undefined {
  for (let version = from; version < flow.version; version++) if (!flow.migrate?.[version]) return version;
  return undefined;
}

/**
 * Flows by type, each with its versions.
 * @throws {InvalidArgumentError} something that is no flow, or two flows of one type and version
 */
export function versionsOf(flows: readonly AnyFlow[]): ReadonlyMap<string, FlowVersions> {
  assertFlows(flows);
  const byType = new Map<string, AnyFlow[]>();
  for (const flow of flows) {
    const others = byType.get(flow.type) ?? [];
    if (others.some(({ version }) => version === flow.version)) {
      throw new InvalidArgumentError(
        `Two flows have the type '${flow.type}' and the version ${flow.version}. Each flow needs a type of its own, and each version of one a number of its own.`,
      );
    }
    byType.set(flow.type, [...others, flow]);
  }
  return new Map([...byType].map(([type, all]) => [type, new FlowVersions(all)]));
}
