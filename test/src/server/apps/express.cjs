"use strict";
const express = require("express");

const app = express();
app.use(express.json());
app.get("/hello/:name", (req, res) => res.status(202).json({ hello: req.params.name, ip: req.ip, xhr: req.xhr }));
app.post("/sum", (req, res) => res.send(String(req.body.a + req.body.b)));
app.get("/blocking", (_req, res) => {
  for (const letter of "abc") res.writeSync(letter);
  res.endSync();
});
app.get("/redirect", (_req, res) => res.redirect("/elsewhere"));
app.get("/throw", () => {
  throw new Error("for express to answer");
});
module.exports = app;
