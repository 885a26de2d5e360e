// As ours/memory.cjs, with threads that wait for a latch: KIND, of which see Threads.java, and COUNT. The kernel's own memory
// for a thread of the system's (a stack of 16 KiB, and more) is not in what it says of a process, and so not in the figure.

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;

final class Memory {
    private static final CountDownLatch gate = new CountDownLatch(1);
    private static final AtomicInteger ended = new AtomicInteger();

    public static void main(String[] args) throws Exception {
        ThreadFactory threads = Threads.of(args[0]);
        int count = Integer.parseInt(args[1]);
        Thread[] first = spawnMany(threads, 100);
        long before = Usage.kibibytes();
        double start = Usage.microseconds();
        Thread[] all = spawnMany(threads, count);
        double create = (Usage.microseconds() - start) / count;
        double memory = (double) (Usage.kibibytes() - before) / count;
        start = Usage.microseconds();
        gate.countDown();
        for (Thread thread : all) thread.join();
        double end = (Usage.microseconds() - start) / count;
        for (Thread thread : first) thread.join();
        if (ended.get() != count + first.length) throw new Error(ended.get() + " ended as they should");
        System.out.println("{\"create\": " + create + ", \"memory\": " + memory + ", \"end\": " + end + "}");
    }

    private static Thread[] spawnMany(ThreadFactory threads, int many) throws InterruptedException {
        CountDownLatch suspended = new CountDownLatch(many);
        Thread[] all = new Thread[many];
        for (int i = 0; i < many; i++) {
            all[i] = threads.newThread(() -> body(suspended));
            all[i].start();
        }
        suspended.await();
        return all;
    }

    private static void body(CountDownLatch suspended) {
        suspended.countDown();
        try {
            gate.await();
            ended.incrementAndGet();
        } catch (InterruptedException error) {
            // It is not counted.
        }
    }
}
