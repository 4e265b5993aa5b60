import { describe, expect, it } from 'vitest';
import { EventChannel } from '../src/events.ts';

describe('the channel of events', () => {
  it('hears who listens twice until both have stopped, and lets a listener stop itself', () => {
    const events = new EventChannel();
    const heard: string[] = [];
    const listener = () => void heard.push('shared');
    const stops = [events.on('writable', listener), events.on('writable', listener)];
    const once = events.on('writable', () => {
      heard.push('once');
      once();
    });
    events.on('writable', () => void heard.push('last'));
    events.emit('writable', {});
    expect(heard.splice(0)).toEqual(['shared', 'shared', 'once', 'last']);
    stops[0]!();
    stops[0]!();
    events.emit('writable', {});
    expect(heard.splice(0)).toEqual(['shared', 'last']);
    stops[1]!();
    events.emit('writable', {});
    expect(heard).toEqual(['last']);
  });
});
