/** STOP, START and HELP: what is one of them, where, and what is none. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { setup } from 'xstate';
import { keywordLanguages } from '../../src/flow/keyword-languages.ts';
import { fold, type KeywordOptions, type KeywordRules } from '../../src/flow/keyword-rules.ts';
import { createRuntime, defineFlow } from '../../src/index.ts';
import { keywordOf } from '../../src/messaging/keywords.ts';
import { createTestRuntime, type TestRuntime } from '../../src/testing/index.ts';

const logic = setup({
  types: { events: {} as { type: 'reply'; text: string } | { type: 'withdraw' } | { type: 'rejoin' } },
}).createMachine({
  initial: 'in',
  states: { in: { on: { reply: { actions: () => {} }, withdraw: 'out' } }, out: { on: { rejoin: 'in' } } },
});
const flowOf = (type: string, keywords?: KeywordRules) =>
  defineFlow({
    type,
    version: 1,
    logic,
    optOut: { withdraw: { type: 'withdraw' }, rejoin: { type: 'rejoin' } },
    ...(keywords && { keywords }),
  });

describe('a word', () => {
  it.each([
    'STOP',
    ' stop. ',
    'Stop!!',
    '"stop"',
    '*STOP*',
    '🛑 stop 🛑',
    'ＳＴＯＰ',
    '𝗦𝗧𝗢𝗣',
    'st\u200bop',
    'ⓈⓉⓄⓅ',
    'stop\ufe0f',
  ])('is read as answers are: %s', (text) => expect(keywordOf(text)).toBe('stop'));

  it.each(['opt-out', 'OPT OUT', 'opt_out', 'Opt\u2011Out', 'optout', 'Stop  all'])(
    'has its parts set off in any way: %s',
    (text) => expect(keywordOf(text)).toBe('stop'),
  );

  it.each<[string, string]>([
    ['fr', 'ARRET'],
    ['fr', 'arrêt'],
    ['fr', 'ARRÊT !'],
    ['es', '¡Parar!'],
    ['pt', 'SAIR'],
    ['de', 'Stopp'],
    ['tr', 'İPTAL'],
    ['tr', 'ıptal'],
    ['ar', 'إيقاف'],
    ['ar', 'ايقاف'],
    ['ar', 'تَوَقَّف'],
    ['hi', 'रोकें'],
    ['zh', '「退订」'],
    ['ja', '停止。'],
    ['ja', 'ｽﾄｯﾌﾟ'],
    ['ko', '수신거부'],
    ['ru', 'СТОП'],
  ])('is one in %s: %s', (_, text) => expect(keywordOf(text)).toBe('stop'));

  it('is listed in the docs', () => {
    const guide = readFileSync(new URL('../../docs/words-and-numbers.md', import.meta.url), 'utf8');
    for (const [language, { stop, start, help }] of Object.entries(keywordLanguages))
      expect(guide).toContain(`\n| ${language} | ${stop.join(', ')} | ${start.join(', ')} | ${help.join(', ')} |\n`);
  });

  it('means one thing in all languages, and is found in each way of writing it', () => {
    const meanings = new Map<string, string>();
    for (const words of Object.values(keywordLanguages)) {
      for (const [keyword, list] of Object.entries(words)) {
        for (const word of list) {
          expect(keywordOf(word)).toBe(keyword);
          expect(keywordOf(` ${word.toUpperCase()}! `)).toBe(keyword);
          expect(meanings.get(fold(word)) ?? keyword).toBe(keyword);
          meanings.set(fold(word), keyword);
        }
      }
    }
  });

  it.each([
    'stopwatch',
    'I cannot stop',
    'the end',
    'alto',
    'baja',
    'dur',
    'fin',
    'no',
    'yes',
    '1',
    '',
    '🛑',
    'stop '.repeat(40),
  ])('is none in an answer: %s', (text) => expect(keywordOf(text)).toBeUndefined());
});

describe('rules', () => {
  let test: TestRuntime;
  afterEach(() => test?.stop());
  let last = 0;
  const say = async (text: string, channel = 'sms', from = '+15551234567') =>
    (await test.receive({ channel, id: `m${++last}`, from, text })).status;
  const start = async (keywords: KeywordOptions, ...flows: ReturnType<typeof flowOf>[]) => {
    test = await createTestRuntime({ flows: flows.length > 0 ? flows : [flowOf('survey')], keywords });
    await test.spawn(flows[0] ?? test.runtime.flows.get('survey')!, 'ada', { phoneNumber: '+15551234567' });
  };

  it('give words back, and add others', async () => {
    await start({ except: ['END', 'info'], stop: ['No más'], help: ['¿qué?'] });
    expect(await say('end')).toBe('applied');
    expect(await say('Info')).toBe('applied');
    expect(await say('¿Qué?')).toBe('helped');
    expect(await say('no mas!')).toBe('stopped');
    expect(await say('start')).toBe('started');
  });

  it('keep to languages', async () => {
    await start({ languages: ['en'] });
    expect(await say('parar')).toBe('applied');
    expect(await say('cancel')).toBe('stopped');
  });

  it('leave STOP what it is, whatever the languages', async () => {
    await start({ languages: ['ja'] });
    expect(await say('cancel')).toBe('applied');
    expect(await say('停止')).toBe('stopped');
    expect(await say('START')).toBe('started');
    expect(await say('Stop')).toBe('stopped');
  });

  it('are those of the channel, where it has some', async () => {
    await start({ except: ['end'], channels: { web: { stop: ['end'], except: ['quit'] } } });
    expect(await say('end')).toBe('applied');
    expect(await say('quit', 'web')).toBe('applied');
    expect(await say('end', 'web')).toBe('stopped');
    expect(await say('start')).toBe('started');
    expect(await say('quit')).toBe('stopped');
  });

  it('are those of the flow that gets the message, where it has some', async () => {
    const flows = [flowOf('tale', { except: ['end'], stop: ['enough'] }), flowOf('survey')];
    await start({}, ...flows);
    await test.spawn(flows[1]!, 'bob', { phoneNumber: '+15551234568' });
    expect(await say('The end')).toBe('applied');
    expect(await say('End.')).toBe('applied');
    expect(await say('enough', 'sms', '+15551234568')).toBe('applied');
    expect(await say('enough', 'sms', '+15551234569')).toBe('unrouted');
    expect(await say('end', 'sms', '+15551234568')).toBe('stopped');
    expect(await say('ENOUGH')).toBe('stopped');
    expect(
      (await test.runtime.receiveFor('tale', 'ada', { channel: 'sms', id: 'x', from: '+15551234567', text: 'end' }))
        .status,
    ).toBe('ignored');
  });

  it('do not take START from who is in', async () => {
    await start({ start: ['begin'] });
    expect(await say('start')).toBe('applied');
    expect(await say('begin')).toBe('applied');
    await say('stop');
    expect(await say('begin')).toBe('started');
  });

  it.each<[unknown, RegExp]>([
    [{ stopp: ['x'] }, /^keywords has no option 'stopp'\. It has languages, stop, start, help, except, channels\.$/],
    [{ stop: 'x' }, /^keywords\.stop must be a list of texts/],
    [{ help: [7] }, /^keywords\.help must be a list of texts/],
    [{ help: ['!'] }, /^keywords\.help: '!' has neither letters nor digits/],
    [{ languages: ['en', 'xx'] }, /^keywords\.languages: 'xx' is not known\. Known are en, ar/],
    [{ except: ['ＳＴＯＰ'] }, /^keywords\.except: 'ＳＴＯＰ' always means STOP/],
    [{ help: ['Start'] }, /^keywords\.help: 'Start' always means START/],
    [{ stop: ['Bye'], except: ['bye!'] }, /^keywords: 'bye!' is in stop and in except/],
    [{ channels: { web: { channels: {} } } }, /^keywords\.channels\.web has no option 'channels'/],
    [{ channels: [] }, /^keywords\.channels has the rules of each channel/],
    [[], /^keywords is an object of rules/],
  ])('that cannot be used are refused in words: %j', (keywords, message) => {
    expect(() => createRuntime({ database: ':memory:', flows: [], keywords: keywords as KeywordOptions })).toThrow(
      message,
    );
    if (!('channels' in (keywords as object)))
      expect(() => flowOf('tale', keywords as KeywordRules)).toThrow(/^Flow 'tale': keywords/);
  });

  it('and texts that cannot be said are', () => {
    const texts = (given: object) => () => createRuntime({ database: ':memory:', flows: [], texts: given });
    expect(texts({ unkown: 'Hi' })).toThrow("texts has no 'unkown'. It has stopped, started, help, unknown, problem.");
    expect(texts({ help: ' ' })).toThrow('texts.help must be a text that is not empty.');
  });
});
