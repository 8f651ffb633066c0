// Not a module: it runs before the first paint, so that a page that was dark stays dark while it loads.
try {
  const theme = localStorage.getItem('reelfuse-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // storage is switched off: the page follows the system
}
