import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import org.rocksdb.ColumnFamilyDescriptor;
import org.rocksdb.ColumnFamilyHandle;
import org.rocksdb.DBOptions;
import org.rocksdb.Options;
import org.rocksdb.RocksDB;
import org.rocksdb.RocksIterator;

/**
 * Prints the rows of a RocksDB directory that nobody writes, as {@code table TAB key in hex TAB value in hex}.
 *
 * <p>Arguments: the directory, and the greatest number of rows wanted of each table.
 */
public final class Rows {
  private Rows() { }

  public static void main(String[] arguments) throws Exception {
    String directory = arguments[0];
    int rowsMax = Integer.parseInt(arguments[1]);
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    HexFormat hex = HexFormat.of();
    List<ColumnFamilyDescriptor> families = new ArrayList<>();
    try (Options options = new Options()) {
      for (byte[] name : RocksDB.listColumnFamilies(options, directory)) {
        families.add(new ColumnFamilyDescriptor(name));
      }
    }
    families.sort(Comparator.comparing(family -> new String(family.getName(), StandardCharsets.UTF_8)));
    List<ColumnFamilyHandle> handles = new ArrayList<>();
    try (DBOptions options = new DBOptions();
        RocksDB db = RocksDB.openReadOnly(options, directory, families, handles)) {
      for (ColumnFamilyHandle handle : handles) {
        String table = new String(handle.getName(), StandardCharsets.UTF_8);
        int rows = 0;
        try (RocksIterator row = db.newIterator(handle)) {
          for (row.seekToFirst(); row.isValid() && rows < rowsMax; row.next(), rows++) {
            out.println(table + "\t" + hex.formatHex(row.key()) + "\t" + hex.formatHex(row.value()));
          }
          row.status();
        }
        if (rows == 0) {
          out.println(table);
        }
      }
      out.flush();
      handles.forEach(ColumnFamilyHandle::close);
    }
  }
}
