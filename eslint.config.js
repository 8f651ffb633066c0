import tseslint from 'typescript-eslint';

/** Rooms a file may not import from; see the tree in README.md. */
const closed = (files, rooms) => ({
  files,
  rules: {
    'no-restricted-imports': [
      'error',
      { patterns: rooms.map((room) => ({ group: [`**/${room}/*`, `**/${room}.js`], message: `imports point one way: not to ${room}` })) },
    ],
  },
});

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'models/', 'data/', 'src/console/', 'src/client/openapi-types.ts'] },
  ...tseslint.configs.strict,
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-invalid-void-type': 'off',
    },
  },
  // runs in browsers too
  closed(
    ['src/client/**'],
    [
      'store',
      'http',
      'recommend',
      'ingest',
      'generations',
      'retrieval',
      'signals',
      'reports',
      'maintenance',
      'model',
      'index',
      'threads',
      'cli',
      'composition',
      'app',
      'config',
      'errors',
    ],
  ),
  closed(['src/maintenance/doctor/**'], ['http', 'recommend', 'cli', 'composition', 'app']),
  closed(
    ['src/store/**'],
    ['http', 'recommend', 'ingest', 'generations', 'retrieval', 'signals', 'reports', 'maintenance', 'model', 'index', 'cli', 'composition', 'app'],
  ),
  closed(
    ['src/index/**'],
    ['http', 'recommend', 'ingest', 'generations', 'retrieval', 'signals', 'reports', 'maintenance', 'model', 'store', 'cli', 'composition', 'app'],
  ),
  closed(
    ['src/model/**'],
    ['http', 'recommend', 'ingest', 'generations', 'retrieval', 'signals', 'reports', 'maintenance', 'store', 'cli', 'composition', 'app'],
  ),
  closed(
    ['src/ingest/**', 'src/generations/**', 'src/retrieval/**', 'src/signals/**', 'src/reports/**', 'src/maintenance/**', 'src/recommend/**'],
    ['http', 'cli', 'composition', 'app'],
  ),
  closed(['src/http/**'], ['cli', 'app']),
);
