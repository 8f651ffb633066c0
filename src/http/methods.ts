import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ReelfuseError } from '../errors.js';
import { sendProblem } from './problem.js';

interface Resource {
  /** Matches decoded paths. */
  path: RegExp;
  methods: string[];
}

/** Order of the methods in `Allow`. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Answers what no route takes: OPTIONS by 204, another method of a known path by 405, both with `Allow`, and an unknown path by 404.
 * Register it before the routes.
 */
export function registerMethods(app: FastifyInstance): void {
  const resources = new Map<string, Resource>();
  app.addHook('onRoute', ({ url, method }) => {
    const resource = resources.get(url) ?? { path: patternOf(url), methods: ['OPTIONS'] };
    resource.methods.push(...[method].flat(), ...([method].flat().includes('GET') ? ['HEAD'] : []));
    resources.set(url, resource);
  });
  const allowedAt = (path: string): string[] => {
    const found = new Set([...resources.values()].filter((resource) => resource.path.test(path)).flatMap(({ methods }) => methods));
    return METHODS.filter((method) => found.has(method));
  };

  const refuse = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { method, url } = request;
    const [path = ''] = url.split('?', 1);
    const allowed = path === '*' ? METHODS : allowedAt(decoded(path));
    if (allowed.length > 0) void reply.header('allow', allowed.join(', '));
    if (method === 'OPTIONS' && allowed.length > 0) return reply.status(204).send();
    const shown = `${method} ${path.slice(0, MAX_SHOWN)}`;
    if (allowed.length === 0 || allowed.includes(method))
      return sendProblem(new ReelfuseError(404, 'route_not_found', `there is no ${shown}`), request, reply);
    const detail = `${shown} is not possible; the methods are ${allowed.join(', ')}`;
    return sendProblem(new ReelfuseError(405, 'method_not_allowed', detail), request, reply);
  };
  // before Fastify looks at the body, and for QUERY at its type: neither says anything about the method
  app.addHook('preParsing', async (request, reply) => (request.is404 ? refuse(request, reply) : undefined));
  app.setNotFoundHandler(refuse);
}

/** Characters of a path in a message. */
const MAX_SHOWN = 200;

/** `/v1/items/:item_id` and `/docs/*` as patterns. */
function patternOf(url: string): RegExp {
  const literal = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace(/:\w+/g, '[^/]+').replace(/\*$/, '.*')}$`);
}

/** Decodes each segment, so that an encoded slash stays within its segment. */
function decoded(path: string): string {
  try {
    return path
      .split('/')
      .map((segment) => decodeURIComponent(segment).replaceAll('/', '%2F'))
      .join('/');
  } catch {
    return path;
  }
}
