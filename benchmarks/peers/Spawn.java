// As ours/spawn.cjs, with threads: KIND, of which see Threads.java.

import java.util.concurrent.ThreadFactory;

final class Spawn {
    private static final int COUNT = 10_000;

    public static void main(String[] args) throws Exception {
        ThreadFactory threads = Threads.of(args[0]);
        double single = Usage.nanosecondsEach(COUNT, () -> batches(threads, COUNT, 1));
        double batch = Usage.nanosecondsEach(COUNT, () -> batches(threads, COUNT / 1000, 1000));
        System.out.println("{\"single\": " + single + ", \"batch\": " + batch + "}");
    }

    private static void batches(ThreadFactory threads, int count, int size) throws InterruptedException {
        Thread[] started = new Thread[size];
        for (int i = 0; i < count; i++) {
            for (int j = 0; j < size; j++) {
                started[j] = threads.newThread(() -> {});
                started[j].start();
            }
            for (Thread thread : started) thread.join();
        }
    }
}
