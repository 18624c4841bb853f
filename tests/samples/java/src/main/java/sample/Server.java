// SPDX-License-Identifier: Apache-2.0
package sample;

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

/** Answers with a version. */
public class Server {
    static final String VERSION = "one";

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            byte[] body = ("java " + VERSION).getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }
}
