# SPDX-License-Identifier: Apache-2.0
# Answers with a version, by a gem of the Gemfile.

require "greeting"
require "socket"

VERSION = "one"
server = TCPServer.new("0.0.0.0", ENV.fetch("PORT").to_i)
loop do
  client = server.accept
  loop { line = client.gets; break if line.nil? || line.strip.empty? }
  body = Greeting.text(VERSION)
  client.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}")
  client.close
end
