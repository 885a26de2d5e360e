// What makes a program's threads: "platform" ones, which are the system's, or "virtual" ones.

import java.util.concurrent.ThreadFactory;

final class Threads {
    static ThreadFactory of(String kind) throws ReflectiveOperationException {
        return kind.equals("virtual") ? virtual() : Threads::daemon;
    }

    /** Does not keep a program alive that has failed. Virtual threads do not, either. */
    private static Thread daemon(Runnable body) {
        Thread thread = new Thread(body);
        thread.setDaemon(true);
        return thread;
    }

    /** Thread.ofVirtual().factory(), which is to compile before Java 21, too. */
    private static ThreadFactory virtual() throws ReflectiveOperationException {
        Object builder = Thread.class.getMethod("ofVirtual").invoke(null);
        return (ThreadFactory) Class.forName("java.lang.Thread$Builder").getMethod("factory").invoke(builder);
    }
}
