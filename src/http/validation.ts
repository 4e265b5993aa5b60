/**
 * Holds each request to the JSON schemas of its route, and says in words what is wrong. Nothing is converted, left out or
 * filled in: a request either is what its schemas say, or is refused, and nothing of it is applied.
 *
 * A schema's `description` completes the sentence "<field> must be …". Its `errorCode` is the code of the answer, by default
 * `INVALID_ARGUMENT`; its `unknown` completes "'<field>' …" for a field that it does not have.
 */
import type { AnySchemaObject, ErrorObject } from 'ajv';
import type { FastifyInstance } from 'fastify';
import { assertInstalled } from '../packages.ts';

/**
 * Gives the routes of `app` their validation. A route, or a part of a request, without a schema takes nothing.
 * @throws {PackageMissingError} `ajv` is not installed
 */
export async function validate(app: FastifyInstance): Promise<void> {
  assertInstalled('The HTTP service', 'ajv');
  const { Ajv } = await import('ajv');
  const ajv = new Ajv({ verbose: true, strict: true, coerceTypes: false, removeAdditional: false, useDefaults: false });
  ajv.addVocabulary(['errorCode', 'unknown']);
  app.setValidatorCompiler(({ schema }) => ajv.compile(schema as AnySchemaObject));
  app.setSchemaErrorFormatter(([error], part) => refusalOf(error as unknown as ErrorObject, part));
  app.addHook('onRoute', (route) => {
    const methods = [route.method].flat();
    const writes = methods.some((method) => method !== 'GET' && method !== 'HEAD');
    route.schema = { querystring: nothing, ...(writes && { body: nothing }), ...route.schema };
  });
}

const nothing = { type: 'object', nullable: true, properties: {}, additionalProperties: false };

function refusalOf(error: ErrorObject, part: string): Error {
  const schema = schemaOf(error);
  return Object.assign(new Error(sentenceOf(error, part, schema)), {
    code: schema?.['errorCode'] ?? 'INVALID_ARGUMENT',
  });
}

/** The schema of the field that is wrong. */
const schemaOf = ({ keyword, params, parentSchema }: ErrorObject): AnySchemaObject | undefined =>
  keyword === 'required' ? parentSchema?.['properties']?.[params['missingProperty']] : parentSchema;

function sentenceOf(
  { keyword, params, instancePath, data, message }: ErrorObject,
  part: string,
  schema?: AnySchemaObject,
) {
  const field = instancePath.slice(1).replaceAll('/', '.');
  const wanted = schema?.['description'] ?? message?.replace(/^must be /, '');
  if (keyword === 'additionalProperties') {
    const fields = Object.keys(schema?.['properties'] ?? {}).join(', ');
    const known =
      schema?.['unknown'] ??
      `${fields ? `is not known here. What is known is ${fields}` : 'is not known: nothing is taken here'}`;
    return `'${params['additionalProperty']}' ${known}.`;
  }
  if (keyword === 'required') return `${params['missingProperty']} is missing. It must be ${wanted}.`;
  if (field === '') return 'The body must be a JSON object.';
  if (part === 'querystring' && Array.isArray(data)) return `${field} may be given once.`;
  return `${field} must be ${wanted}.`;
}
