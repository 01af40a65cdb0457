import java.io.PrintStream;
import java.lang.reflect.Field;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.ozone.freon.BaseFreonGenerator;

/**
 * The published freon, with its counters written down while it runs: a line "milliseconds successes failures" for each change,
 * looked at every 5 ms. Arguments: the file, then freon's own.
 */
public final class Freon {
  private Freon() {
  }

  private static AtomicLong counter(Object generator, String name) throws ReflectiveOperationException {
    Field field = BaseFreonGenerator.class.getDeclaredField(name);
    field.setAccessible(true);
    return (AtomicLong) field.get(generator);
  }

  private static void watch(Object generator, PrintStream out) throws Exception {
    long seen = -1;
    long seenFailures = -1;
    while (true) {
      Thread.sleep(5);
      AtomicLong successes = counter(generator, "successCounter");
      AtomicLong failures = counter(generator, "failureCounter");
      if (successes == null || failures == null) {
        continue;
      }
      if (successes.get() != seen || failures.get() != seenFailures) {
        seen = successes.get();
        seenFailures = failures.get();
        out.println(System.currentTimeMillis() + " " + seen + " " + seenFailures);
      }
    }
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(args[0]);
    String[] own = java.util.Arrays.copyOfRange(args, 1, args.length);
    org.apache.hadoop.ozone.freon.Freon freon = new org.apache.hadoop.ozone.freon.Freon();
    Object generator = freon.getCmd().getSubcommands().get(own[0]).getCommand();
    Thread watcher = new Thread(() -> {
      try {
        watch(generator, out);
      } catch (Exception e) {
        e.printStackTrace();
        System.exit(70);
      }
    });
    watcher.setDaemon(true);
    watcher.start();
    freon.run(own);
  }
}
