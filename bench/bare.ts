import Fastify from 'fastify';

/** HTTP's own cost: Fastify reads the same JSON body and answers as many bytes by schema, with nothing in between. */
const app = Fastify();
const items = Array.from({ length: 20 }, (_, n) => ({ item_id: `v${n * 997}`, score: 6.0674 - n / 100, reason: 'history' }));
const schema = {
  body: {
    type: 'object',
    properties: { user_id: { type: 'string' }, k: { type: 'integer' }, history: { type: 'array', items: { type: 'string' } } },
  },
  response: {
    200: {
      type: 'object',
      properties: {
        items: {
          type: 'array',
          items: { type: 'object', properties: { item_id: { type: 'string' }, score: { type: 'number' }, reason: { type: 'string' } } },
        },
      },
    },
  },
};
app.get('/readyz', async () => ({}));
app.post('/v1/recommendations', { schema }, async () => ({ items }));
await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]) });
