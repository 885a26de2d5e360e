// A request whose answer is promised, as text.
const http = require("node:http");

exports.getText = (url, options = {}) =>
  new Promise((resolve, reject) => {
    const request = http.get(url, options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
