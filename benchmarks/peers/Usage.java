// The same measures as in ours/usage.cjs.

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

final class Usage {
    private static final OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    interface Run {
        void run() throws Exception;
    }

    static long kibibytes() throws IOException {
        System.gc();
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(line -> line.startsWith("VmRSS:") || line.startsWith("VmPTE:"))
            .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
            .sum();
    }

    /** Java counts them in ticks of 10 ms: what is measured has to take much longer. */
    static double microseconds() {
        return system.getProcessCpuTime() / 1e3;
    }

    static double nanosecondsEach(int count, Run run) throws Exception {
        run.run();
        double[] all = new double[7];
        for (int i = 0; i < all.length; i++) {
            double start = microseconds();
            run.run();
            all[i] = (microseconds() - start) * 1000 / count;
        }
        Arrays.sort(all);
        return all[all.length / 2];
    }
}
