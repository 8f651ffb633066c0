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
  closed(['src/client/**'], ['store', 'http', 'recommend', 'catalog', 'model', 'index', 'threads', 'cli', 'services', 'app', 'config', 'errors']),
  closed(['src/doctor/**'], ['http', 'recommend', 'cli', 'services', 'app']),
  closed(['src/store/**'], ['http', 'recommend', 'catalog', 'model', 'index', 'cli', 'services', 'app']),
  closed(['src/index/**'], ['http', 'recommend', 'catalog', 'model', 'store', 'cli', 'services', 'app']),
  closed(['src/model/**'], ['http', 'recommend', 'catalog', 'store', 'cli', 'services', 'app']),
  closed(['src/catalog/**', 'src/recommend/**'], ['http', 'cli', 'services', 'app']),
  closed(['src/http/**'], ['cli', 'app']),
);
