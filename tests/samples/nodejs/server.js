// SPDX-License-Identifier: Apache-2.0
// Answers with what the build left, and tells whether the build's own packages are gone.

const fs = require("fs");
const http = require("http");
const ms = require("ms");

const version = fs.readFileSync("dist/version.txt", "utf8");
let tools = "without tools";
try {
  require("left-pad");
  tools = "with tools";
} catch (error) {
  if (error.code !== "MODULE_NOT_FOUND") throw error;
}
http.createServer((request, response) => response.end(`nodejs ${version} ${ms("1m")} ${tools}`)).listen(process.env.PORT);
