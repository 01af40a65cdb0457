import java.io.IOException;
import java.net.URI;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.contract.AbstractBondedFSContract;
import org.apache.hadoop.fs.contract.AbstractContractAppendTest;
import org.apache.hadoop.fs.contract.AbstractContractBulkDeleteTest;
import org.apache.hadoop.fs.contract.AbstractContractConcatTest;
import org.apache.hadoop.fs.contract.AbstractContractContentSummaryTest;
import org.apache.hadoop.fs.contract.AbstractContractCopyFromLocalTest;
import org.apache.hadoop.fs.contract.AbstractContractCreateTest;
import org.apache.hadoop.fs.contract.AbstractContractDeleteTest;
import org.apache.hadoop.fs.contract.AbstractContractGetFileStatusTest;
import org.apache.hadoop.fs.contract.AbstractContractMkdirTest;
import org.apache.hadoop.fs.contract.AbstractContractOpenTest;
import org.apache.hadoop.fs.contract.AbstractContractRenameTest;
import org.apache.hadoop.fs.contract.AbstractContractSeekTest;
import org.apache.hadoop.fs.contract.AbstractContractSetTimesTest;
import org.apache.hadoop.fs.contract.AbstractContractUnbufferTest;
import org.apache.hadoop.fs.contract.AbstractFSContract;

/**
 * Hadoop's contract tests for file systems, bound to the one of the system properties {@code contract.uri} and
 * {@code contract.directory}. Left out are those that the client of Ozone fails by design: of the root directory, and of etags.
 */
public final class Contracts {
  private static final URI URI_OF_FS = URI.create(System.getProperty("contract.uri"));

  /** What Ozone's file systems promise. */
  private static final Map<String, String> PROMISES = Map.ofEntries(
      Map.entry("test.root-tests-enabled", "false"),
      Map.entry("test.random-seek-count", "100"),
      Map.entry("is-case-sensitive", "true"),
      Map.entry("supports-append", "false"),
      Map.entry("supports-atomic-directory-delete", "true"),
      Map.entry("supports-atomic-rename", "true"),
      Map.entry("supports-block-locality", "true"),
      Map.entry("supports-concat", "false"),
      Map.entry("supports-seek", "true"),
      Map.entry("rejects-seek-past-eof", "true"),
      Map.entry("supports-strict-exceptions", "true"),
      Map.entry("supports-unix-permissions", "false"),
      Map.entry("rename-returns-false-if-dest-exists", "true"),
      Map.entry("rename-returns-false-if-source-missing", "true"),
      Map.entry("rename-remove-dest-if-empty-dir", "false"),
      Map.entry("rename-creates-dest-dirs", "false"),
      Map.entry("create-visibility-delayed", "true"),
      Map.entry("supports-settimes", "true"),
      Map.entry("supports-getfilestatus", "true"),
      Map.entry("supports-hflush", "true"),
      Map.entry("supports-hsync", "true"),
      Map.entry("supports-unbuffer", "true"),
      Map.entry("supports-file-reference", "false"),
      Map.entry("supports-content-check", "false"));

  private Contracts() { }

  static final class Contract extends AbstractBondedFSContract {
    Contract(Configuration conf) {
      super(conf);
      PROMISES.forEach((key, value) -> getConf().set("fs.contract." + key, value));
    }

    @Override public void init() { }

    @Override public FileSystem getTestFileSystem() throws IOException {
      return FileSystem.get(URI_OF_FS, getConf());
    }

    @Override public String getScheme() {
      return URI_OF_FS.getScheme();
    }

    @Override public Path getTestPath() {
      return new Path(System.getProperty("contract.directory"));
    }
  }

  public static final class Append extends AbstractContractAppendTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class BulkDelete extends AbstractContractBulkDeleteTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class Concat extends AbstractContractConcatTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class ContentSummary extends AbstractContractContentSummaryTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class CopyFromLocal extends AbstractContractCopyFromLocalTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class Create extends AbstractContractCreateTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class Delete extends AbstractContractDeleteTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class GetFileStatus extends AbstractContractGetFileStatusTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class Mkdir extends AbstractContractMkdirTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class Open extends AbstractContractOpenTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class Rename extends AbstractContractRenameTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class Seek extends AbstractContractSeekTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class SetTimes extends AbstractContractSetTimesTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }

  public static final class Unbuffer extends AbstractContractUnbufferTest {
    @Override protected AbstractFSContract createContract(Configuration conf) {
      return new Contract(conf);
    }
  }
}
