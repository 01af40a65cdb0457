import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.hdds.conf.OzoneConfiguration;
import org.apache.hadoop.ozone.client.ObjectStore;
import org.apache.hadoop.ozone.client.OzoneBucket;
import org.apache.hadoop.ozone.client.OzoneClient;
import org.apache.hadoop.ozone.client.OzoneClientFactory;
import org.apache.hadoop.ozone.client.OzoneMultipartUpload;
import org.apache.hadoop.ozone.client.io.OzoneInputStream;
import org.apache.hadoop.ozone.client.io.OzoneOutputStream;
import org.apache.hadoop.ozone.om.exceptions.OMException;

/**
 * What no command can do, so that every table of an Ozone Manager has rows: multipart uploads that are left in the middle and
 * completed by a later run, keys that stay open, a secret.
 *
 * <p>Arguments: {@code begin} or {@code finish}, the volume, the name of the turn, and buckets.
 */
public final class Everything {
  private static final int FIRST_PART_BYTES = 5 << 20;
  private static final int LAST_PART_BYTES = 1000;

  private Everything() { }

  public static void main(String[] arguments) throws Exception {
    boolean begin = arguments[0].equals("begin");
    String turn = arguments[2];
    List<String> buckets = Arrays.asList(arguments).subList(3, arguments.length);
    OzoneClient client = OzoneClientFactory.getRpcClient(new OzoneConfiguration());
    ObjectStore store = client.getObjectStore();
    if (begin) {
      String user = System.getProperty("user.name");
      try {
        System.out.println("secret of " + store.getS3Secret(user).getAwsAccessKey());
      } catch (OMException e) {
        if (e.getResult() != OMException.ResultCodes.S3_SECRET_ALREADY_EXISTS) {
          throw e;
        }
        System.out.println("secret of " + user + " is there already");
      }
    }
    for (String name : buckets) {
      OzoneBucket bucket = store.getVolume(arguments[1]).getBucket(name);
      String key = "upload-" + turn;
      if (begin) {
        String id = bucket.initiateMultipartUpload(key).getUploadID();
        System.out.println(name + " part 1 " + part(bucket, key, 1, id, FIRST_PART_BYTES));
        bucket.createKey("open-" + turn, LAST_PART_BYTES);
      } else {
        complete(bucket, key);
        System.out.println(name + " completed");
      }
    }
    // The open keys stay open: this client goes without a word.
    Runtime.getRuntime().halt(0);
  }

  private static byte[] content(int number, int bytes) {
    byte[] content = new byte[bytes];
    Arrays.fill(content, (byte) ('a' + number));
    return content;
  }

  private static String part(OzoneBucket bucket, String key, int number, String upload, int bytes) throws Exception {
    OzoneOutputStream out = bucket.createMultipartKey(key, bytes, number, upload);
    out.write(content(number, bytes));
    out.getMetadata().put("ETag", "etag" + number);
    out.close();
    return out.getCommitUploadPartInfo().getPartName();
  }

  /** The part of the other turn is found by listing; a second one is added, and the key is read back. */
  private static void complete(OzoneBucket bucket, String key) throws Exception {
    List<OzoneMultipartUpload> uploads = bucket.listMultipartUploads("upload-", "", "", 100).getUploads();
    String id = null;
    for (OzoneMultipartUpload upload : uploads) {
      if (upload.getKeyName().equals(key)) {
        id = upload.getUploadId();
      }
    }
    part(bucket, key, 2, id, LAST_PART_BYTES);
    Map<Integer, String> parts = new HashMap<>();
    bucket.listParts(key, id, 0, 100).getPartInfoList().forEach(info -> parts.put(info.getPartNumber(), info.getETag()));
    bucket.completeMultipartUpload(key, id, parts);
    try (OzoneInputStream in = bucket.readKey(key)) {
      byte[] back = in.readAllBytes();
      boolean equal = back.length == FIRST_PART_BYTES + LAST_PART_BYTES
          && Arrays.equals(Arrays.copyOf(back, FIRST_PART_BYTES), content(1, FIRST_PART_BYTES))
          && Arrays.equals(Arrays.copyOfRange(back, FIRST_PART_BYTES, back.length), content(2, LAST_PART_BYTES));
      if (!equal) {
        throw new IllegalStateException(key + " came back differently, " + back.length + " bytes");
      }
    }
  }
}
