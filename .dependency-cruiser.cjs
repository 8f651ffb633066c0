/** Which rooms a room of src/ may import from; nothing else. A room may always import from itself. Lowest first. */
const LAYERS = {
  domain: [],
  store: ['domain', 'threads'],
  threads: [],
  index: ['threads'],
  model: ['index', 'threads'],
  retrieval: ['domain', 'index', 'model'],
  signals: ['domain', 'store'],
  ingest: ['domain', 'store', 'model', 'retrieval', 'signals'],
  generations: ['domain', 'store', 'model', 'retrieval', 'ingest'],
  recommend: ['domain', 'index', 'store', 'retrieval', 'signals'],
  reports: ['domain', 'store', 'retrieval'],
  maintenance: ['domain', 'store', 'threads', 'index', 'model', 'retrieval', 'generations'],
  http: ['domain', 'store', 'ingest', 'generations', 'recommend', 'reports', 'maintenance', 'model'],
  client: [],
  composition: [
    'domain',
    'store',
    'threads',
    'index',
    'model',
    'retrieval',
    'signals',
    'ingest',
    'generations',
    'recommend',
    'reports',
    'maintenance',
    'http',
  ],
  cli: ['domain', 'store', 'model', 'ingest', 'generations', 'reports', 'maintenance', 'client', 'composition'],
};

const rooms = Object.keys(LAYERS);
/** Files of src/ itself that any room may use. */
const COMMON = 'clock|config|errors|files|ids|metrics|package-root|schema|storage-faults|time|timing-histogram|tracing|turnstile';

const layerRules = Object.entries(LAYERS).map(([room, below]) => ({
  name: `layers-${room}`,
  severity: 'error',
  comment: `imports point one way: ${room}/ uses ${below.length === 0 ? 'no other room' : below.join(', ')}`,
  from: { path: `^src/${room}/` },
  to: { path: `^src/(${rooms.filter((other) => other !== room && !below.includes(other)).join('|')})/` },
}));

/** Engines of a contract; only the composition root, and the engine itself, may name one. */
const engineRule = (name, path, allowed = '') => ({
  name: `engine-${name}`,
  severity: 'error',
  comment: 'an engine is named by the composition root alone',
  from: { path: '^src/', pathNot: `^src/composition/|${path}${allowed}` },
  to: { path },
});

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', comment: 'imports never go in a circle', from: {}, to: { circular: true } },
    ...layerRules,
    engineRule('sqlite', '^src/store/sqlite/'),
    engineRule('postgres', '^src/store/postgres/'),
    engineRule('served-log-files', '^src/store/files/'),
    engineRule('embedded-retrieval', '^src/retrieval/embedded/', '|^src/maintenance/snapshots/'),
    {
      name: 'client-runs-in-browsers',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { path: `^src/(?!client/)|^node:` },
    },
    {
      name: 'rooms-do-not-know-the-app',
      severity: 'error',
      comment: 'only the composition root and the command line build the app',
      from: { path: `^src/(${rooms.filter((room) => room !== 'composition' && room !== 'cli').join('|')})/` },
      to: { path: '^src/(app|main)\\.ts$' },
    },
    {
      name: 'common-files-know-no-room',
      severity: 'error',
      from: { path: `^src/(${COMMON})\\.ts$` },
      to: { path: `^src/(${rooms.join('|')})/` },
    },
    { name: 'src-stands-alone', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|bench|scripts)/' } },
    { name: 'tests-know-no-bench', severity: 'error', from: { path: '^test/' }, to: { path: '^bench/', pathNot: '^bench/(crash|operations)' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.mjs'] },
  },
};
