import java.io.BufferedReader;
import java.io.InputStreamReader;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FsShell;
import org.apache.hadoop.util.ToolRunner;

/** Runs `hdfs dfs` commands, one a line on standard input, in one JVM; after each it prints `= EXIT-CODE`. */
public final class DfsCommands {
  private DfsCommands() { }

  public static void main(String[] ignored) throws Exception {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      int code = ToolRunner.run(new Configuration(), new FsShell(), line.split(" "));
      System.out.println("= " + code);
      System.out.flush();
    }
    System.exit(0);
  }
}
