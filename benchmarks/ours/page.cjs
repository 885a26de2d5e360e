// The template of http-upstream.

/** A page with a title, and a list of ten items. */
exports.page = (title, item) => {
  const items = Array.from({ length: 10 }, () => `<li>${item.trim()}</li>\n`).join("");
  return `<!doctype html>\n<h1>${title.trim()}</h1>\n<ul>\n${items}</ul>\n`;
};
