// As ours/sleep.cjs, with the server of the JDK and a thread for each request in flight: KIND, of which see Threads.java.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;

final class Sleep {
    private static final byte[] hello = "hello\n".getBytes();

    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 4096);
        server.createContext("/", Sleep::answer);
        server.setExecutor(executor(args[0]));
        server.start();
        System.out.println(server.getAddress().getPort());
    }

    /** Platform threads are dear and kept for the next request; virtual ones are to be made anew. */
    private static Executor executor(String kind) throws ReflectiveOperationException {
        ThreadFactory threads = Threads.of(kind);
        if (kind.equals("virtual")) return task -> threads.newThread(task).start();
        return Executors.newCachedThreadPool(threads);
    }

    private static void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            Thread.sleep(20);
            exchange.getResponseHeaders().set("Content-Type", "text/plain");
            exchange.sendResponseHeaders(200, hello.length);
            exchange.getResponseBody().write(hello);
        } catch (InterruptedException error) {
            throw new IOException(error);
        }
    }
}
