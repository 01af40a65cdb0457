import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.StringTokenizer;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.ContentSummary;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileRange;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FsServerDefaults;
import org.apache.hadoop.fs.LeaseRecoverable;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.SafeMode;
import org.apache.hadoop.fs.SafeModeAction;
import org.apache.hadoop.fs.StreamCapabilities;
import org.apache.hadoop.fs.Trash;
import org.apache.hadoop.fs.permission.AclEntry;
import org.apache.hadoop.fs.permission.FsAction;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.io.IntWritable;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.SequenceFile;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.Mapper;
import org.apache.hadoop.mapreduce.Reducer;
import org.apache.hadoop.mapreduce.lib.input.FileInputFormat;
import org.apache.hadoop.mapreduce.lib.output.FileOutputFormat;
import org.apache.hadoop.tools.DistCp;
import org.apache.hadoop.util.ToolRunner;

/**
 * The corners of Hadoop's {@code FileSystem} and {@code FileContext} that its contract tests leave out, a MapReduce job with both
 * commit algorithms, and DistCp: what each call answers, one line a call.
 *
 * <p>Arguments: the URI of a file system, a directory in it that does not exist, and the URI of the directory to copy to.
 */
public final class Corners {
  private final FileSystem fs;
  private final Path home;
  private final Path other;

  private Corners(FileSystem fs, Path home, Path other) {
    this.fs = fs;
    this.home = home;
    this.other = other;
  }

  public static void main(String[] arguments) throws Exception {
    Configuration conf = new Configuration();
    conf.set("mapreduce.framework.name", "local");
    conf.set("fs.trash.interval", "10");
    FileSystem fs = new Path(arguments[0]).getFileSystem(conf);
    Corners corners = new Corners(fs, new Path(arguments[0], arguments[1]), new Path(arguments[2]));
    fs.mkdirs(corners.home);
    corners.names();
    corners.defaults();
    corners.capabilities();
    corners.creating();
    corners.syncing();
    corners.reading();
    corners.listing();
    corners.renaming();
    corners.deleting();
    corners.attributes();
    corners.unsupported();
    corners.context();
    corners.leases();
    corners.trash();
    corners.jobs();
    corners.copies();
    System.exit(0);
  }

  private void say(String what, Callable<?> call) {
    String text;
    try {
      Object value = call.call();
      text = value instanceof Object[] values ? Arrays.toString(values) : String.valueOf(value);
    } catch (Throwable e) {
      String message = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
      text = "! " + e.getClass().getName() + ": " + message;
    }
    System.out.println(what + ": " + text);
    System.out.flush();
  }

  private Path at(String name) {
    return new Path(home, name);
  }

  private Path write(String name, byte[] bytes) throws IOException {
    try (FSDataOutputStream out = fs.create(at(name), true)) {
      out.write(bytes);
    }
    return at(name);
  }

  private Path write(String name, String text) throws IOException {
    return write(name, text.getBytes(StandardCharsets.UTF_8));
  }

  private String read(Path path) throws IOException {
    try (FSDataInputStream in = fs.open(path)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private static String shown(FileStatus status) {
    return (status.isDirectory() ? "d" : "-") + status.getPermission() + " " + status.getReplication() + " " + status.getLen() + " "
        + status.getBlockSize() + " " + status.getPath() + (status.isErasureCoded() ? " EC" : "") + (status.isEncrypted() ? " encrypted" : "")
        + (status.hasAcl() ? " acl" : "") + (status.isSymlink() ? " link" : "") + (status.isSnapshotEnabled() ? " snapshots" : "");
  }

  private static String shown(FileStatus[] found) {
    return found == null ? "null" : Arrays.stream(found).map(Corners::shown).collect(Collectors.joining(", "));
  }

  private static <T extends FileStatus> String shown(RemoteIterator<T> found) throws IOException {
    List<String> all = new ArrayList<>();
    while (found.hasNext()) {
      FileStatus next = found.next();
      String blocks = next instanceof LocatedFileStatus located ? located(located.getBlockLocations()) : "";
      all.add(shown(next) + blocks);
    }
    return String.join(", ", all);
  }

  private static String located(BlockLocation[] blocks) {
    if (blocks == null) {
      return " null";
    }
    return Arrays.stream(blocks).map(block -> {
      try {
        return block.getOffset() + "+" + block.getLength() + "@" + block.getHosts().length + "/" + block.getNames().length + "/"
            + block.getStorageIds().length + "/" + block.getTopologyPaths().length + (block.isCorrupt() ? " corrupt" : "");
      } catch (IOException e) {
        return e.toString();
      }
    }).collect(Collectors.joining(" ", " [", "]"));
  }

  private void names() {
    say("uri", fs::getUri);
    say("scheme", fs::getScheme);
    say("home", fs::getHomeDirectory);
    say("working directory", fs::getWorkingDirectory);
    say("canonical service name", fs::getCanonicalServiceName);
    say("qualified", () -> fs.makeQualified(new Path("/a/../b")));
    say("qualified relative", () -> fs.makeQualified(new Path("x")));
    say("resolved", () -> fs.resolvePath(home));
    say("resolved missing", () -> fs.resolvePath(at("missing")));
    say("wrong file system", () -> fs.exists(new Path("hdfs://elsewhere/x")));
    say("other authority", () -> fs.exists(new Path(fs.getScheme() + "://elsewhere/x")));
    say("relative", () -> {
      fs.setWorkingDirectory(home);
      return fs.mkdirs(new Path("relative")) + " " + fs.exists(at("relative")) + " " + fs.getWorkingDirectory();
    });
    say("root", () -> shown(fs.getFileStatus(new Path("/"))));
    say("root exists", () -> fs.exists(new Path("/")));
    say("root is a directory", () -> fs.getFileStatus(new Path("/")).isDirectory());
    say("mkdirs of the root", () -> fs.mkdirs(new Path("/")));
    for (String name : List.of("with space", "ünï", "a+b", "percent%20", "back\\slash", "quote'\"", "semi;colon", "a#b", "a?b=c", "日本", "..x", "x..")) {
      say("name " + name, () -> read(write("names/" + name, name)).equals(name) + " " + fs.getFileStatus(at("names/" + name)).getPath().getName());
    }
    say("names", () -> shown(fs.listStatus(at("names"))));
    say("a colon", () -> write("names/a:b", "x"));
    say("a long name", () -> write("n".repeat(300), "x").getName().length());
  }

  private void defaults() {
    say("default block size", () -> fs.getDefaultBlockSize(home));
    say("default replication", () -> fs.getDefaultReplication(home));
    say("server defaults", () -> {
      FsServerDefaults all = fs.getServerDefaults(home);
      return all.getBlockSize() + " " + all.getBytesPerChecksum() + " " + all.getWritePacketSize() + " " + all.getReplication() + " "
          + all.getFileBufferSize() + " " + all.getEncryptDataTransfer() + " " + all.getTrashInterval() + " " + all.getChecksumType()
          + " " + all.getKeyProviderUri();
    });
    say("status", () -> fs.getStatus(home).getCapacity() + " " + fs.getStatus(home).getUsed() + " " + fs.getStatus(home).getRemaining());
    say("storage policies", fs::getAllStoragePolicies);
    say("storage policy", () -> fs.getStoragePolicy(home));
    say("delegation token", () -> fs.getDelegationToken("me"));
    say("child file systems", () -> fs.getChildFileSystems() == null ? "none" : "some");
    say("trash root", () -> fs.getTrashRoot(at("x")));
  }

  private void capabilities() {
    for (String name : List.of(CommonPathCapabilities.FS_ACLS, CommonPathCapabilities.FS_APPEND, CommonPathCapabilities.FS_CHECKSUMS,
        CommonPathCapabilities.FS_CONCAT, CommonPathCapabilities.FS_LIST_CORRUPT_FILE_BLOCKS, CommonPathCapabilities.FS_PATHHANDLES,
        CommonPathCapabilities.FS_PERMISSIONS, CommonPathCapabilities.FS_READ_ONLY_CONNECTOR, CommonPathCapabilities.FS_SNAPSHOTS,
        CommonPathCapabilities.FS_STORAGEPOLICY, CommonPathCapabilities.FS_SYMLINKS, CommonPathCapabilities.FS_TRUNCATE,
        CommonPathCapabilities.FS_XATTRS, CommonPathCapabilities.FS_MULTIPART_UPLOADER, CommonPathCapabilities.ABORTABLE_STREAM,
        CommonPathCapabilities.ETAGS_AVAILABLE, CommonPathCapabilities.BULK_DELETE, CommonPathCapabilities.LEASE_RECOVERABLE)) {
      say("capability " + name, () -> fs.hasPathCapability(home, name));
    }
  }

  private void creating() {
    say("create", () -> shown(fs.getFileStatus(write("file", "hello"))));
    say("create again without overwrite", () -> fs.create(at("file"), false));
    say("create with overwrite", () -> read(write("file", "again")));
    say("create over a directory", () -> fs.create(home, true));
    say("create below a file", () -> fs.create(at("file/below")));
    say("create with parents", () -> read(write("made/on/the/way", "x")));
    say("create with all arguments", () -> {
      fs.create(at("all"), new FsPermission((short) 0600), true, 4096, (short) 1, 64L << 20, null).close();
      return shown(fs.getFileStatus(at("all")));
    });
    say("create with flags", () -> {
      fs.create(at("flags"), FsPermission.getFileDefault(), EnumSet.of(CreateFlag.CREATE, CreateFlag.OVERWRITE), 4096, (short) 3, 1 << 20, null).close();
      return fs.exists(at("flags"));
    });
    say("create with append", () -> fs.create(at("flags"), FsPermission.getFileDefault(), EnumSet.of(CreateFlag.APPEND), 4096, (short) 3, 1 << 20, null));
    say("create not recursive", () -> fs.createNonRecursive(at("no/parent"), true, 4096, (short) 3, 1 << 20, null));
    say("create not recursive in a directory", () -> {
      fs.createNonRecursive(at("nonrecursive"), true, 4096, (short) 3, 1 << 20, null).close();
      return fs.exists(at("nonrecursive"));
    });
    say("create not recursive again", () -> fs.createNonRecursive(at("nonrecursive"), false, 4096, (short) 3, 1 << 20, null));
    say("builder", () -> {
      fs.createFile(at("built/x")).recursive().overwrite(true).bufferSize(100).replication((short) 1).build().close();
      return shown(fs.getFileStatus(at("built/x")));
    });
    say("builder without parents", () -> fs.createFile(at("notbuilt/x")).build());
    say("builder with a must", () -> fs.createFile(at("must")).must("unknown.option", true).build());
    say("new file", () -> fs.createNewFile(at("new")));
    say("new file again", () -> fs.createNewFile(at("new")));
    say("an open file is not listed", () -> {
      try (FSDataOutputStream out = fs.create(at("open"))) {
        out.write(1);
        return fs.exists(at("open"));
      }
    });
    say("position", () -> {
      try (FSDataOutputStream out = fs.create(at("position"))) {
        out.write(new byte[5]);
        return out.getPos() + " " + out.size();
      }
    });
    say("closed twice", () -> {
      FSDataOutputStream out = fs.create(at("twice"));
      out.write(1);
      out.close();
      out.close();
      return fs.getFileStatus(at("twice")).getLen();
    });
    say("written after close", () -> {
      FSDataOutputStream out = fs.create(at("after"));
      out.close();
      out.write(new byte[10]);
      return "written";
    });
    say("parent deleted while open", () -> {
      FSDataOutputStream out = fs.create(at("parent/child"));
      out.write(1);
      fs.delete(at("parent"), true);
      out.close();
      return fs.exists(at("parent/child"));
    });
    say("two writers, the last one wins", () -> {
      FSDataOutputStream first = fs.create(at("race"));
      FSDataOutputStream second = fs.create(at("race"));
      first.write("first".getBytes(StandardCharsets.UTF_8));
      second.write("second!".getBytes(StandardCharsets.UTF_8));
      second.close();
      first.close();
      return read(at("race"));
    });
    say("mkdirs", () -> fs.mkdirs(at("d/e/f")) + " " + fs.mkdirs(at("d/e/f")));
    say("mkdirs with a mode", () -> fs.mkdirs(at("moded"), new FsPermission((short) 0700)) + " " + shown(fs.getFileStatus(at("moded"))));
    say("mkdirs over a file", () -> fs.mkdirs(at("file")));
    say("mkdirs below a file", () -> fs.mkdirs(at("file/x/y")));
    say("primitive mkdir", () -> FileSystem.mkdirs(fs, at("static"), new FsPermission((short) 0711)));
  }

  private void syncing() {
    for (String name : List.of("hflush", "hsync")) {
      say(name, () -> {
        try (FSDataOutputStream out = fs.create(at(name))) {
          out.write("visible".getBytes(StandardCharsets.UTF_8));
          if (name.equals("hsync")) {
            out.hsync();
          } else {
            out.hflush();
          }
          return fs.exists(at(name)) + " " + (fs.exists(at(name)) ? fs.getFileStatus(at(name)).getLen() + " " + read(at(name)) : "");
        }
      });
      say(name + " after close", () -> read(at(name)));
    }
    say("streams out", () -> {
      try (FSDataOutputStream out = fs.create(at("stream"))) {
        return capabilities(out);
      }
    });
    say("set drop behind", () -> {
      try (FSDataOutputStream out = fs.create(at("drop"))) {
        out.setDropBehind(true);
        return "set";
      }
    });
    say("abort", () -> {
      try (FSDataOutputStream out = fs.create(at("abort"))) {
        return out.abort();
      }
    });
  }

  private static String capabilities(StreamCapabilities stream) {
    return List.of(StreamCapabilities.HFLUSH, StreamCapabilities.HSYNC, StreamCapabilities.READAHEAD, StreamCapabilities.DROPBEHIND,
        StreamCapabilities.UNBUFFER, StreamCapabilities.READBYTEBUFFER, StreamCapabilities.PREADBYTEBUFFER, StreamCapabilities.IOSTATISTICS,
        StreamCapabilities.VECTOREDIO, StreamCapabilities.ABORTABLE_STREAM).stream().filter(stream::hasCapability).toList().toString();
  }

  private void reading() throws Exception {
    byte[] bytes = new byte[9 << 20];
    for (int at = 0; at < bytes.length; at++) {
      bytes[at] = (byte) (at * 31 + (at >> 10));
    }
    Path big = write("big", bytes);
    Path small = write("small", "0123456789");
    Path empty = write("empty", "");
    say("streams in", () -> {
      try (FSDataInputStream in = fs.open(small)) {
        return capabilities(in);
      }
    });
    say("open missing", () -> fs.open(at("missing")));
    say("open a directory", () -> fs.open(home));
    say("open empty", () -> {
      try (FSDataInputStream in = fs.open(empty)) {
        return in.read() + " " + in.available() + " " + in.getPos() + " " + in.read(0, new byte[3], 0, 3);
      }
    });
    try (FSDataInputStream in = fs.open(small)) {
      say("available", in::available);
      say("seek and read", () -> {
        in.seek(4);
        return (char) in.read() + " " + in.getPos();
      });
      say("skip", () -> in.skip(3) + " " + in.getPos());
      say("skip beyond the end", () -> in.skip(30) + " " + in.getPos());
      say("seek to the end", () -> {
        in.seek(10);
        return in.read();
      });
      say("seek beyond the end", () -> {
        in.seek(11);
        return in.read();
      });
      say("seek before the begin", () -> {
        in.seek(-1);
        return in.read();
      });
      say("positioned read", () -> {
        in.seek(2);
        byte[] buffer = new byte[4];
        return in.read(5, buffer, 0, 4) + " " + new String(buffer, StandardCharsets.UTF_8) + " " + in.getPos();
      });
      say("positioned read over the end", () -> in.read(8, new byte[4], 0, 4));
      say("positioned read at the end", () -> in.read(10, new byte[4], 0, 4));
      say("positioned read behind the end", () -> in.read(20, new byte[4], 0, 4));
      say("positioned read before the begin", () -> in.read(-1, new byte[4], 0, 4));
      say("positioned read of nothing", () -> in.read(3, new byte[4], 0, 0));
      say("read fully", () -> {
        byte[] buffer = new byte[4];
        in.readFully(1, buffer);
        return new String(buffer, StandardCharsets.UTF_8);
      });
      say("read fully over the end", () -> {
        in.readFully(8, new byte[4]);
        return "read";
      });
      say("read into a buffer", () -> {
        in.seek(0);
        ByteBuffer buffer = ByteBuffer.allocateDirect(6);
        return in.read(buffer) + " " + buffer.position() + " " + in.getPos();
      });
      say("positioned read into a buffer", () -> in.read(3, ByteBuffer.allocate(20)));
      say("read fully into a buffer", () -> {
        in.readFully(3, ByteBuffer.allocate(20));
        return "read";
      });
      say("seek to new source", () -> in.seekToNewSource(0));
      say("readahead", () -> {
        in.setReadahead(1000L);
        return "set";
      });
      say("unbuffer", () -> {
        in.unbuffer();
        in.seek(1);
        return (char) in.read();
      });
      say("mark", in::markSupported);
      say("file descriptor", in::getFileDescriptor);
    }
    say("read after close", () -> {
      FSDataInputStream in = fs.open(small);
      in.close();
      in.close();
      return in.read();
    });
    say("seeks over chunks and blocks", () -> {
      try (FSDataInputStream in = fs.open(big)) {
        int wrong = 0;
        for (int step = 0; step < 60; step++) {
          int position = (int) ((step * 7_919_113L) % bytes.length);
          int length = Math.min(bytes.length - position, 1 + step * 1009);
          byte[] buffer = new byte[length];
          if (step % 2 == 0) {
            in.readFully(position, buffer);
          } else {
            in.seek(position);
            in.readFully(buffer);
          }
          wrong += Arrays.equals(buffer, Arrays.copyOfRange(bytes, position, position + length)) ? 0 : 1;
        }
        return wrong + " wrong";
      }
    });
    say("vectored read", () -> {
      try (FSDataInputStream in = fs.open(big)) {
        List<FileRange> ranges = List.of(FileRange.createFileRange(10, 100), FileRange.createFileRange(5 << 20, 1 << 20),
            FileRange.createFileRange((9 << 20) - 7, 7));
        in.readVectored(ranges, ByteBuffer::allocate);
        int wrong = 0;
        for (FileRange range : ranges) {
          ByteBuffer buffer = range.getData().get();
          byte[] got = new byte[buffer.remaining()];
          buffer.get(got);
          int from = (int) range.getOffset();
          wrong += Arrays.equals(got, Arrays.copyOfRange(bytes, from, from + range.getLength())) ? 0 : 1;
        }
        return wrong + " wrong";
      }
    });
    say("vectored read over the end", () -> {
      try (FSDataInputStream in = fs.open(small)) {
        List<FileRange> ranges = List.of(FileRange.createFileRange(5, 100));
        in.readVectored(ranges, ByteBuffer::allocate);
        return ranges.get(0).getData().get().remaining();
      }
    });
    say("open by builder", () -> {
      try (FSDataInputStream in = fs.openFile(small).withFileStatus(fs.getFileStatus(small)).opt("fs.option.openfile.read.policy", "random").build().get()) {
        return in.read();
      }
    });
    say("open by builder what is missing", () -> fs.openFile(at("missing")).build().get());
    say("open by handle", () -> fs.open(fs.getPathHandle(fs.getFileStatus(small))));
    say("overwritten while it is read", () -> {
      try (FSDataInputStream in = fs.open(write("changing", "before"))) {
        write("changing", "after!");
        return new String(in.readAllBytes(), StandardCharsets.UTF_8);
      }
    });
    say("checksum", () -> fs.getFileChecksum(small));
    say("checksum of a part", () -> fs.getFileChecksum(small, 4));
    say("checksum of nothing of it", () -> fs.getFileChecksum(small, 0));
    say("checksum of more", () -> fs.getFileChecksum(small, 400));
    say("checksum of less than nothing", () -> fs.getFileChecksum(small, -1));
    say("checksum of chunks", () -> fs.getFileChecksum(big));
    say("checksum of empty", () -> fs.getFileChecksum(empty));
    say("checksum of a directory", () -> fs.getFileChecksum(home));
    say("checksum of what is missing", () -> fs.getFileChecksum(at("missing")));
    say("block locations", () -> located(fs.getFileBlockLocations(fs.getFileStatus(big), 0, bytes.length)));
    say("block locations of a part", () -> located(fs.getFileBlockLocations(big, 5, 6)));
    say("block locations behind the end", () -> located(fs.getFileBlockLocations(fs.getFileStatus(small), 100, 6)));
    say("block locations of empty", () -> located(fs.getFileBlockLocations(fs.getFileStatus(empty), 0, 6)));
    say("block locations before the begin", () -> located(fs.getFileBlockLocations(fs.getFileStatus(small), -1, 6)));
    say("block locations of a directory", () -> located(fs.getFileBlockLocations(fs.getFileStatus(home), 0, 6)));
  }

  private void listing() throws Exception {
    for (String name : List.of("l/a/one", "l/a/two", "l/b/three", "l/four", "l/.hidden", "l/_temporary")) {
      write(name, name);
    }
    fs.mkdirs(at("l/none"));
    Path l = at("l");
    say("list", () -> shown(fs.listStatus(l)));
    say("list a file", () -> shown(fs.listStatus(at("l/four"))));
    say("list what is missing", () -> shown(fs.listStatus(at("l/missing"))));
    say("list nothing", () -> shown(fs.listStatus(at("l/none"))));
    say("list with a filter", () -> shown(fs.listStatus(l, path -> path.getName().startsWith("_"))));
    say("list several", () -> shown(fs.listStatus(new Path[] {at("l/a"), at("l/b")})));
    say("list located", () -> shown(fs.listLocatedStatus(l)));
    say("list a file located", () -> shown(fs.listLocatedStatus(at("l/four"))));
    say("list what is missing located", () -> shown(fs.listLocatedStatus(at("l/missing"))));
    say("list files", () -> shown(fs.listFiles(l, false)));
    say("list all files", () -> shown(fs.listFiles(l, true)));
    say("list files of a file", () -> shown(fs.listFiles(at("l/four"), true)));
    say("iterate", () -> shown(fs.listStatusIterator(l)));
    say("iterate over a file", () -> shown(fs.listStatusIterator(at("l/four"))));
    say("iterate over what is missing", () -> shown(fs.listStatusIterator(at("l/missing"))));
    say("iterate too far", () -> {
      RemoteIterator<FileStatus> none = fs.listStatusIterator(at("l/none"));
      return none.hasNext() + " " + none.next();
    });
    for (String pattern : List.of("l/*", "l/*/*", "l/{a,b}/*", "l/{a/one,b/three}", "l/x*", "l/a/one", "l/x", "l/[ab]", "l/?", "l/*/t*", "*/a/one", "l/.*", "l/a/./one")) {
      say("glob " + pattern, () -> shown(fs.globStatus(at(pattern))));
    }
    say("glob with a filter", () -> shown(fs.globStatus(at("l/*"), path -> path.getName().length() == 1)));
    say("glob a bad pattern", () -> shown(fs.globStatus(at("l/["))));
    say("summary", () -> fs.getContentSummary(l).toString());
    say("summary of a file", () -> fs.getContentSummary(at("l/four")).toString());
    say("summary of nothing", () -> fs.getContentSummary(at("l/none")).toString());
    say("summary of what is missing", () -> fs.getContentSummary(at("l/missing")).toString());
    say("summary of the bytes on disk", () -> {
      ContentSummary sum = fs.getContentSummary(l);
      return sum.getSpaceConsumed() + " " + sum.getQuota() + " " + sum.getSpaceQuota() + " " + sum.getErasureCodingPolicy();
    });
    say("quota usage", () -> fs.getQuotaUsage(l).toString());
    say("corrupt files", () -> fs.listCorruptFileBlocks(l));
    say("many in one directory", () -> {
      for (int number = 0; number < 30; number++) {
        fs.mkdirs(at(String.format("many/d%02d", number)));
      }
      int count = 0;
      String last = "";
      for (RemoteIterator<FileStatus> all = fs.listStatusIterator(at("many")); all.hasNext(); count++) {
        String name = all.next().getPath().getName();
        if (name.compareTo(last) <= 0) {
          return "out of order at " + name;
        }
        last = name;
      }
      return count;
    });
  }

  private void renaming() throws Exception {
    write("r/a", "a");
    write("r/b", "b");
    write("r/d/x", "x");
    fs.mkdirs(at("r/e"));
    for (String[] pair : new String[][] {{"a", "c"}, {"missing", "c2"}, {"c", "c"}, {"c", "b"}, {"c", "d"}, {"d/c", "no/such"}, {"d", "d/inside"},
        {"d", "d"}, {"d", "e"}, {"e/d", "d"}, {"d", "b"}, {"d/x", "b/x"}, {"b", "newname"}, {"newname", "e/"}, {"e/newname", "./f"}, {"d", "../up"}}) {
      say("rename " + pair[0] + " to " + pair[1], () -> fs.rename(at("r/" + pair[0]), at("r/" + pair[1])));
    }
    say("renamed", () -> shown(fs.listFiles(at("r"), true)));
    say("rename to the root", () -> fs.rename(at("up"), new Path("/")));
    say("rename the root", () -> fs.rename(new Path("/"), at("root")));
    say("rename what is being written", () -> {
      FSDataOutputStream out = fs.create(at("r/writing"));
      out.write(1);
      return fs.rename(at("r/writing"), at("r/written"));
    });
    // As a query engine commits: a staging directory beside the table, moved in one step.
    write("table/.hive-staging/_task_tmp/part-0", "p0");
    write("table/.hive-staging/_task_tmp/part-1", "p1");
    say("commit a staging directory", () -> fs.rename(at("table/.hive-staging/_task_tmp"), at("table/day=1")) + " "
        + fs.delete(at("table/.hive-staging"), true) + " " + shown(fs.listFiles(at("table"), true)));
    say("commit over what is there", () -> {
      write("table/.stage/part-2", "p2");
      return fs.rename(at("table/.stage"), at("table/day=1")) + " " + shown(fs.listFiles(at("table"), true));
    });
  }

  private void deleting() throws Exception {
    write("del/x/y", "y");
    say("delete what is full", () -> fs.delete(at("del"), false));
    say("delete what is missing", () -> fs.delete(at("del/missing"), true));
    say("delete a file as a tree", () -> fs.delete(at("del/x/y"), true));
    say("delete what is empty", () -> fs.delete(at("del/x"), false));
    say("deleted", () -> shown(fs.listStatus(at("del"))));
    say("delete on exit", () -> fs.deleteOnExit(at("missing")) + " " + fs.deleteOnExit(at("file")) + " " + fs.cancelDeleteOnExit(at("file")));
    say("bulk delete", () -> {
      write("bulk/a", "a");
      try (var bulk = fs.createBulkDelete(at("bulk"))) {
        return bulk.pageSize() + " " + bulk.bulkDelete(List.of(at("bulk/a"))) + " " + fs.exists(at("bulk/a"));
      }
    });
    say("deleted while it is read", () -> {
      try (FSDataInputStream in = fs.open(write("going", "gone"))) {
        fs.delete(at("going"), false);
        return new String(in.readAllBytes(), StandardCharsets.UTF_8);
      }
    });
  }

  private void attributes() throws Exception {
    Path file = write("att", "att");
    say("times", () -> {
      fs.setTimes(file, 1_600_000_000_123L, 1_500_000_000_456L);
      return fs.getFileStatus(file).getModificationTime() + " " + (fs.getFileStatus(file).getAccessTime() == fs.getFileStatus(file).getModificationTime());
    });
    say("times that stay", () -> {
      fs.setTimes(file, -1, -1);
      return fs.getFileStatus(file).getModificationTime();
    });
    say("times of a directory", () -> {
      fs.setTimes(home, 1_600_000_000_123L, -1);
      return fs.getFileStatus(home).getModificationTime();
    });
    say("times of what is missing", () -> {
      fs.setTimes(at("missing"), 1, 1);
      return "set";
    });
    say("permission", () -> {
      fs.setPermission(file, new FsPermission((short) 0600));
      return shown(fs.getFileStatus(file));
    });
    say("permission of what is missing", () -> {
      fs.setPermission(at("missing"), new FsPermission((short) 0600));
      return "set";
    });
    say("owner", () -> {
      String before = fs.getFileStatus(file).getOwner();
      fs.setOwner(file, "somebody", "some");
      return before.equals(fs.getFileStatus(file).getOwner());
    });
    say("replication", () -> fs.setReplication(file, (short) 1) + " " + fs.getFileStatus(file).getReplication());
    say("replication of nothing", () -> fs.setReplication(file, (short) 0));
    say("replication of a directory", () -> fs.setReplication(home, (short) 1));
    say("replication of what is missing", () -> fs.setReplication(at("missing"), (short) 1));
    for (FsAction action : FsAction.values()) {
      say("access " + action, () -> {
        fs.access(file, action);
        return "granted";
      });
    }
    say("access to what is missing", () -> {
      fs.access(at("missing"), FsAction.READ);
      return "granted";
    });
    say("link target", () -> fs.getLinkTarget(file));
    say("link status", () -> shown(fs.getFileLinkStatus(file)));
    say("symlinks", fs::supportsSymlinks);
    say("kinds", () -> fs.isFile(file) + " " + fs.isDirectory(file) + " " + fs.isFile(at("missing")) + " " + fs.getLength(file) + " " + fs.getReplication(file) + " " + fs.getBlockSize(file));
    say("access time moves", () -> {
      FileStatus status = fs.getFileStatus(file);
      return status.getAccessTime() >= 0;
    });
  }

  private void unsupported() throws Exception {
    Path file = at("att");
    say("append", () -> fs.append(file));
    say("append by builder", () -> fs.appendFile(file).build());
    say("truncate", () -> fs.truncate(file, 1));
    say("concat", () -> {
      fs.concat(file, new Path[] {at("small")});
      return "done";
    });
    say("symlink", () -> {
      fs.createSymlink(file, at("link"), false);
      return "done";
    });
    say("xattr", () -> {
      fs.setXAttr(file, "user.x", new byte[1]);
      return "done";
    });
    say("xattrs", () -> fs.getXAttrs(file));
    say("list xattrs", () -> fs.listXAttrs(file));
    say("acl", () -> fs.getAclStatus(file));
    say("set acl", () -> {
      fs.setAcl(file, AclEntry.parseAclSpec("user::rwx,group::rwx,other::rwx", true));
      return "done";
    });
    say("modify acl", () -> {
      fs.modifyAclEntries(file, AclEntry.parseAclSpec("user:me:rwx", true));
      return "done";
    });
    say("storage policy", () -> {
      fs.setStoragePolicy(file, "HOT");
      return "done";
    });
    say("satisfy storage policy", () -> {
      fs.satisfyStoragePolicy(file);
      return "done";
    });
    say("quota", () -> {
      fs.setQuota(home, 5, 5);
      return "done";
    });
    say("multipart uploader", () -> fs.createMultipartUploader(home).build());
    say("verify checksums", () -> {
      fs.setVerifyChecksum(false);
      fs.setWriteChecksum(false);
      return "done";
    });
    say("msync", () -> {
      fs.msync();
      return "done";
    });
    say("enclosing root", () -> fs.getEnclosingRoot(file));
    say("copy from local and back", () -> {
      java.nio.file.Path local = java.nio.file.Files.createTempFile("corners", "");
      java.nio.file.Files.writeString(local, "local");
      fs.copyFromLocalFile(false, true, new Path(local.toUri()), at("copied"));
      fs.copyToLocalFile(false, at("copied"), new Path(local.toUri()), true);
      String text = java.nio.file.Files.readString(local);
      fs.moveFromLocalFile(new Path(local.toUri()), at("moved"));
      return text + " " + java.nio.file.Files.exists(local) + " " + read(at("moved"));
    });
    say("local output", () -> {
      java.nio.file.Path local = java.nio.file.Files.createTempFile("corners", "");
      return fs.startLocalOutput(at("localout"), new Path(local.toUri())).toUri().getScheme();
    });
  }

  private void context() {
    say("context", () -> {
      FileContext context = FileContext.getFileContext(fs.getUri(), fs.getConf());
      context.mkdir(at("context/a"), FsPermission.getDirDefault(), true);
      try (FSDataOutputStream out = context.create(at("context/file"), EnumSet.of(CreateFlag.CREATE))) {
        out.write(1);
      }
      return context.getDefaultFileSystem().getUri() + " " + shown(context.getFileStatus(at("context/file"))) + " " + context.util().exists(at("context/a"));
    });
    FileContext context;
    try {
      context = FileContext.getFileContext(fs.getUri(), fs.getConf());
    } catch (Exception e) {
      return;
    }
    say("context mkdir without parent", () -> {
      context.mkdir(at("context/no/parent"), FsPermission.getDirDefault(), false);
      return "made";
    });
    say("context create again", () -> context.create(at("context/file"), EnumSet.of(CreateFlag.CREATE)));
    say("context overwrite what is missing", () -> context.create(at("context/missing"), EnumSet.of(CreateFlag.OVERWRITE)));
    say("context create without parent", () -> context.create(at("context/no/parent"), EnumSet.of(CreateFlag.CREATE), Options.CreateOpts.donotCreateParent()));
    say("context rename", () -> {
      context.rename(at("context/file"), at("context/renamed"));
      return context.util().exists(at("context/renamed"));
    });
    say("context rename over", () -> {
      context.create(at("context/target"), EnumSet.of(CreateFlag.CREATE)).close();
      context.rename(at("context/renamed"), at("context/target"));
      return "renamed";
    });
    say("context rename with overwrite", () -> {
      context.rename(at("context/renamed"), at("context/target"), Options.Rename.OVERWRITE);
      return context.getFileStatus(at("context/target")).getLen();
    });
    say("context rename to the trash", () -> {
      context.rename(at("context/target"), at("context/trashed"), Options.Rename.TO_TRASH);
      return context.util().exists(at("context/trashed"));
    });
    say("context rename a directory over an empty one", () -> {
      context.mkdir(at("context/b"), FsPermission.getDirDefault(), true);
      context.rename(at("context/a"), at("context/b"), Options.Rename.OVERWRITE);
      return context.util().exists(at("context/a"));
    });
    say("context rename over a full one", () -> {
      write("context/c/x", "x");
      context.mkdir(at("context/d"), FsPermission.getDirDefault(), true);
      context.rename(at("context/d"), at("context/c"), Options.Rename.OVERWRITE);
      return "renamed";
    });
    say("context list", () -> shown(context.listStatus(at("context"))));
    say("context list located", () -> shown(context.listLocatedStatus(at("context/c"))));
    say("context glob", () -> shown(context.util().globStatus(at("context/*"))));
    say("context delete", () -> context.delete(at("context/c"), true) + " " + context.delete(at("context/missing"), true));
    say("context server defaults", () -> context.getServerDefaults(home).getBlockSize());
    say("context status", () -> context.getFsStatus(home).getCapacity());
    say("context working directory", context::getWorkingDirectory);
    say("context copy", () -> context.util().copy(at("small"), at("context/copy")) + " " + context.util().getContentSummary(at("context")));
  }

  private void leases() {
    say("leases", () -> fs instanceof LeaseRecoverable);
    say("lease of a closed file", () -> ((LeaseRecoverable) fs).recoverLease(at("small")) + " " + ((LeaseRecoverable) fs).isFileClosed(at("small")));
    say("lease of what is missing", () -> ((LeaseRecoverable) fs).isFileClosed(at("missing")));
    say("lease of an hsynced file", () -> {
      FSDataOutputStream out = fs.create(at("leased"));
      out.write(1);
      out.hsync();
      return ((LeaseRecoverable) fs).isFileClosed(at("leased")) + " " + ((LeaseRecoverable) fs).recoverLease(at("leased")) + " "
          + ((LeaseRecoverable) fs).isFileClosed(at("leased")) + " " + fs.getFileStatus(at("leased")).getLen();
    });
    say("safe mode", () -> ((SafeMode) fs).setSafeMode(SafeModeAction.GET));
  }

  private void trash() {
    say("trash", () -> {
      Path file = write("trash/file", "x");
      boolean moved = Trash.moveToAppropriateTrash(fs, file, fs.getConf());
      return moved + " " + fs.exists(file) + " " + fs.exists(new Path(fs.getTrashRoot(file), "Current"));
    });
    say("trash again", () -> Trash.moveToAppropriateTrash(fs, write("trash/file", "x"), fs.getConf()));
    say("trash what is missing", () -> Trash.moveToAppropriateTrash(fs, at("trash/missing"), fs.getConf()));
    say("trash what is in the trash", () -> Trash.moveToAppropriateTrash(fs, new Path(fs.getTrashRoot(home), "Current"), fs.getConf()));
    say("trash interval", () -> new Trash(fs, fs.getConf()).isEnabled());
  }

  /** Counts words. */
  public static final class Words extends Mapper<LongWritable, Text, Text, IntWritable> {
    @Override
    protected void map(LongWritable at, Text line, Context out) throws IOException, InterruptedException {
      for (StringTokenizer words = new StringTokenizer(line.toString()); words.hasMoreTokens();) {
        out.write(new Text(words.nextToken()), new IntWritable(1));
      }
    }
  }

  /** Sums counts. */
  public static final class Sum extends Reducer<Text, IntWritable, Text, IntWritable> {
    @Override
    protected void reduce(Text word, Iterable<IntWritable> counts, Context out) throws IOException, InterruptedException {
      int sum = 0;
      for (IntWritable count : counts) {
        sum += count.get();
      }
      out.write(word, new IntWritable(sum));
    }
  }

  private void jobs() throws Exception {
    write("words/one", "to be or not to be\n");
    write("words/two", "be quick\nor be dead\n");
    for (String algorithm : List.of("1", "2")) {
      say("job with commit algorithm " + algorithm, () -> {
        Configuration conf = new Configuration(fs.getConf());
        conf.set("mapreduce.fileoutputcommitter.algorithm.version", algorithm);
        conf.set("fs.defaultFS", fs.getUri().toString());
        conf.set("mapreduce.output.fileoutputformat.compress", algorithm.equals("2") ? "true" : "false");
        conf.set("mapreduce.output.fileoutputformat.compress.codec", "org.apache.hadoop.io.compress.DefaultCodec");
        Job job = Job.getInstance(conf);
        job.setJarByClass(Corners.class);
        job.setMapperClass(Words.class);
        job.setCombinerClass(Sum.class);
        job.setReducerClass(Sum.class);
        job.setNumReduceTasks(2);
        job.setOutputKeyClass(Text.class);
        job.setOutputValueClass(IntWritable.class);
        FileInputFormat.addInputPath(job, at("words"));
        FileOutputFormat.setOutputPath(job, at("counted" + algorithm));
        return job.waitForCompletion(false) + " " + shown(fs.listFiles(at("counted" + algorithm), true));
      });
    }
    say("what the job counted", () -> read(at("counted1/part-r-00000")).replace('\n', ' ') + read(at("counted1/part-r-00001")).replace('\n', ' '));
    say("job into what is there", () -> {
      Job job = Job.getInstance(new Configuration(fs.getConf()));
      FileInputFormat.addInputPath(job, at("words"));
      FileOutputFormat.setOutputPath(job, at("counted1"));
      return job.waitForCompletion(false);
    });
    say("sequence file", () -> {
      Path path = at("sequence");
      try (SequenceFile.Writer out = SequenceFile.createWriter(fs.getConf(), SequenceFile.Writer.file(path), SequenceFile.Writer.keyClass(Text.class),
          SequenceFile.Writer.valueClass(IntWritable.class))) {
        out.append(new Text("a"), new IntWritable(1));
        out.hsync();
        out.append(new Text("b"), new IntWritable(2));
      }
      List<String> rows = new ArrayList<>();
      try (SequenceFile.Reader in = new SequenceFile.Reader(fs.getConf(), SequenceFile.Reader.file(path))) {
        Text key = new Text();
        IntWritable value = new IntWritable();
        while (in.next(key, value)) {
          rows.add(key + "=" + value);
        }
      }
      return rows;
    });
  }

  private void copies() throws Exception {
    write("source/one", "one");
    write("source/sub/two", "two");
    fs.mkdirs(at("source/none"));
    copy("into a new directory", at("source"), other);
    copy("into one that is there", at("source"), other);
    copy("-update of nothing new", "-update", at("source"), new Path(other, "source"));
    write("source/three", "three");
    write("source/one", "one, longer");
    copy("-update", "-update", at("source"), new Path(other, "source"));
    fs.delete(at("source/three"), false);
    copy("-update -delete", "-update", "-delete", at("source"), new Path(other, "source"));
    copy("-overwrite", "-overwrite", at("source"), new Path(other, "source"));
    copy("-update -append", "-update", "-append", at("source"), new Path(other, "source"));
    copy("-p", "-p", at("source"), new Path(other, "kept"));
    copy("-pugpt -direct", "-ptugp", "-direct", at("source"), new Path(other, "direct"));
    copy("-atomic", "-atomic", at("source"), new Path(other, "atomic"));
    copy("one file", at("source/one"), new Path(other, "file"));
    copy("several", at("source/one"), at("source/sub"), new Path(other, "several"));
    copy("what is missing", at("missing"), new Path(other, "missing"));
    copy("back", new Path(other, "source"), at("back"));
    say("copied back", () -> shown(fs.listFiles(at("back"), true)));
  }

  private void copy(String what, Object... arguments) {
    say("distcp " + what, () -> {
      Configuration conf = new Configuration(fs.getConf());
      // Nothing is to wait for more progress of a local job than there can be.
      conf.set("mapreduce.client.completion.pollinterval", "50");
      int code = ToolRunner.run(new DistCp(conf, null), Arrays.stream(arguments).map(String::valueOf).toArray(String[]::new));
      Path target = (Path) arguments[arguments.length - 1];
      FileSystem there = target.getFileSystem(conf);
      return code + " " + (there.exists(target) ? shown(there.listFiles(target, true)) : "nothing");
    });
  }
}
