import { defineConfig } from 'vitest/config';

/** Where `npm run dev` finds the API: a running `smartem demo` or `smartem up`. */
const server = process.env.SMARTEM_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // Relative addresses, so that the page also works behind a proxy under a path of its own.
  base: './',
  resolve: {
    // Leaflet's package entry is CommonJS; its own ES module lies beside it and bundles smaller.
    alias: [{ find: /^leaflet$/, replacement: 'leaflet/dist/leaflet-src.esm.js' }],
  },
  build: {
    target: 'es2022',
    // The page's security policy allows files of its own only, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The licences of what is bundled travel with it.
    license: { fileName: 'licenses.md' },
  },
  server: { proxy: { '/api': server } },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
});
