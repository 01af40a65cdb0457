import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import org.apache.hadoop.fs.ozone.OzoneFsShell;
import org.apache.hadoop.hdds.cli.GenericCli;
import org.apache.hadoop.hdds.conf.OzoneConfiguration;
import org.apache.hadoop.util.ToolRunner;

/**
 * Runs many commands of the published Ozone in one JVM, since starting one costs more than most commands do.
 *
 * <p>A request is a line of URL-encoded words on standard input: what the command finds on its standard input, then the
 * subcommand and its arguments. The answer on standard output is a line {@code exit-code stdout-bytes stderr-bytes} followed
 * by those bytes. A command is made anew for every request, as its own {@code main} would make it.
 */
public final class Commands {
  private static final Map<String, String> CLASSES = Map.of(
      "sh", "org.apache.hadoop.ozone.shell.OzoneShell",
      "s3", "org.apache.hadoop.ozone.shell.s3.S3Shell",
      "admin", "org.apache.hadoop.ozone.admin.OzoneAdmin",
      "debug", "org.apache.hadoop.ozone.debug.OzoneDebug",
      "getconf", "org.apache.hadoop.ozone.conf.OzoneGetConf");

  private Commands() { }

  public static void main(String[] ignored) throws IOException {
    OutputStream answers = new BufferedOutputStream(System.out);
    BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    for (String line = requests.readLine(); line != null; line = requests.readLine()) {
      String[] words = Arrays.stream(line.split(" ", -1))
          .map(word -> URLDecoder.decode(word, StandardCharsets.UTF_8))
          .toArray(String[]::new);
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      ByteArrayOutputStream err = new ByteArrayOutputStream();
      System.setIn(new ByteArrayInputStream(words[0].getBytes(StandardCharsets.UTF_8)));
      System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
      System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
      int code = run(words[1], Arrays.copyOfRange(words, 2, words.length));
      System.out.flush();
      System.err.flush();
      answers.write((code + " " + out.size() + " " + err.size() + "\n").getBytes(StandardCharsets.US_ASCII));
      out.writeTo(answers);
      err.writeTo(answers);
      answers.flush();
    }
    System.exit(0);
  }

  /** The exit code as the shell would see it. */
  private static int run(String name, String[] arguments) {
    try {
      if (name.equals("fs")) {
        return ToolRunner.run(new OzoneConfiguration(), new OzoneFsShell(), arguments) & 0xff;
      }
      GenericCli command = (GenericCli) Class.forName(CLASSES.get(name)).getDeclaredConstructor().newInstance();
      return command.execute(arguments) & 0xff;
    } catch (Exception e) {
      e.printStackTrace();
      return 1;
    }
  }
}
