//! Sequence files (`SequenceFile` of Hadoop) as text: a line for each record, with a tab between key and value.
//!
//! ```text
//!  SEQ version key-class value-class compressed blocks [codec] metadata sync
//!  plain, or values packed:  length key-length key value      … -1 sync …
//!  blocks:                   -1 sync count key-lengths keys value-lengths values
//! ```
//! Numbers are big-endian, or of variable length as `WritableUtils` writes them.

use std::io::{self, Read, Write};

use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// First bytes of a sequence file.
pub const MAGIC: &[u8] = b"SEQ";
/// The version that Hadoop has written since 2006.
const VERSION: u8 = 6;
const SYNC_BYTES: usize = 16;
/// In the place of a record's length: a sync mark follows.
const SYNC_ESCAPE: i32 = -1;
/// Bytes of one record, block, name or entry of the metadata.
const PIECE_BYTES_MAX: usize = 256 << 20;
/// Entries of the metadata, and records of a block.
const COUNT_MAX: usize = 16 << 20;

/// Prints the records.
///
/// # Errors
/// The file is none, is damaged, or holds classes or is packed in a way that is not known here.
pub fn print(file: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    let header = Header::read(file)?;
    while let Some(length) = length_or_end(file)? {
        if length == SYNC_ESCAPE {
            header.check_sync(file)?;
            if header.blocks {
                header.block(file, out)?;
            }
        } else if header.blocks {
            return Err(damaged("there is no sync mark before a block"));
        } else {
            header.record(file, out, size(length)?)?;
        }
    }
    Ok(())
}

/// How a sequence file is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Codec {
    Zlib,
    Gzip,
}

struct Header {
    key: Class,
    value: Class,
    codec: Option<Codec>,
    blocks: bool,
    sync: [u8; SYNC_BYTES],
}

impl Header {
    fn read(file: &mut impl Read) -> io::Result<Self> {
        let mut begin = [0; 4];
        file.read_exact(&mut begin)?;
        if &begin[..3] != MAGIC || begin[3] != VERSION {
            return Err(damaged(&format!("version {} of sequence files is not known", begin[3])));
        }
        let (key, value) = (Class::named(&string(file)?)?, Class::named(&string(file)?)?);
        let (packed, blocks) = (byte(file)? != 0, byte(file)? != 0);
        let codec = if packed { Some(Codec::named(&string(file)?)?) } else { None };
        let entries = int(file)?;
        if usize::try_from(entries).is_ok_and(|count| count > COUNT_MAX) {
            return Err(damaged("it has too many entries of metadata"));
        }
        for _ in 0..2 * i64::from(entries.max(0)) {
            string(file)?;
        }
        let mut sync = [0; SYNC_BYTES];
        file.read_exact(&mut sync)?;
        Ok(Self { key, value, codec, blocks, sync })
    }

    fn check_sync(&self, file: &mut impl Read) -> io::Result<()> {
        let mut mark = [0; SYNC_BYTES];
        file.read_exact(&mut mark)?;
        if mark == self.sync { Ok(()) } else { Err(damaged("File is corrupt!")) }
    }

    fn record(&self, file: &mut impl Read, out: &mut impl Write, length: usize) -> io::Result<()> {
        let key_length = size(int(file)?)?;
        let value_length = length
            .checked_sub(key_length)
            .ok_or_else(|| damaged("a key is longer than its record"))?;
        let (key, value) = (bytes(file, key_length)?, bytes(file, value_length)?);
        let value = match self.codec {
            Some(codec) => codec.unpack(&value)?,
            None => value,
        };
        self.line(out, &key, &value)
    }

    fn block(&self, file: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
        let count = number(file)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= COUNT_MAX);
        let count = count.ok_or_else(|| damaged("a block has too many records"))?;
        let mut piece = || -> io::Result<Vec<u8>> {
            let length = size(number(file)?)?;
            let packed = bytes(file, length)?;
            self.codec.map_or(Ok(packed.clone()), |codec| codec.unpack(&packed))
        };
        let (key_lengths, keys, value_lengths, values) = (piece()?, piece()?, piece()?, piece()?);
        let (mut key_lengths, mut value_lengths) = (&key_lengths[..], &value_lengths[..]);
        let (mut keys, mut values) = (&keys[..], &values[..]);
        for _ in 0..count {
            let key = bytes(&mut keys, size(number(&mut key_lengths)?)?)?;
            let value = bytes(&mut values, size(number(&mut value_lengths)?)?)?;
            self.line(out, &key, &value)?;
        }
        Ok(())
    }

    fn line(&self, out: &mut impl Write, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.key.write(out, key)?;
        out.write_all(b"\t")?;
        self.value.write(out, value)?;
        out.write_all(b"\n")
    }
}

impl Codec {
    fn named(name: &str) -> io::Result<Self> {
        match name.rsplit('.').next() {
            Some("DefaultCodec" | "DeflateCodec") => Ok(Self::Zlib),
            Some("GzipCodec") => Ok(Self::Gzip),
            _ => Err(damaged(&format!("files packed with {name} cannot be shown as text"))),
        }
    }

    fn unpack(self, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        let most = PIECE_BYTES_MAX as u64 + 1;
        match self {
            Self::Zlib => ZlibDecoder::new(packed).take(most).read_to_end(&mut plain)?,
            Self::Gzip => MultiGzDecoder::new(packed).take(most).read_to_end(&mut plain)?,
        };
        if plain.len() > PIECE_BYTES_MAX { Err(damaged("a piece is too long")) } else { Ok(plain) }
    }
}

/// What keys or values are (`org.apache.hadoop.io`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Text,
    Bytes,
    Null,
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Variable,
    Float,
    Double,
}

impl Class {
    fn named(name: &str) -> io::Result<Self> {
        let known = name.strip_prefix("org.apache.hadoop.io.").unwrap_or_default();
        Ok(match known {
            "Text" => Self::Text,
            "BytesWritable" => Self::Bytes,
            "NullWritable" => Self::Null,
            "BooleanWritable" => Self::Boolean,
            "ByteWritable" => Self::Byte,
            "ShortWritable" => Self::Short,
            "IntWritable" => Self::Int,
            "LongWritable" => Self::Long,
            "VIntWritable" | "VLongWritable" => Self::Variable,
            "FloatWritable" => Self::Float,
            "DoubleWritable" => Self::Double,
            _ => return Err(damaged(&format!("WritableName can't load class: {name}"))),
        })
    }

    /// As its `toString` gives it.
    fn write(self, out: &mut impl Write, mut data: &[u8]) -> io::Result<()> {
        let from = &mut data;
        match self {
            Self::Text => {
                let length = size(number(from)?)?;
                out.write_all(String::from_utf8_lossy(&bytes(from, length)?).as_bytes())
            }
            Self::Bytes => {
                let length = size(int(from)?)?;
                let text: Vec<String> =
                    bytes(from, length)?.iter().map(|byte| format!("{byte:02x}")).collect();
                out.write_all(text.join(" ").as_bytes())
            }
            Self::Null => out.write_all(b"(null)"),
            Self::Boolean => write!(out, "{}", byte(from)? != 0),
            Self::Byte => write!(out, "{}", byte(from)?.cast_signed()),
            Self::Short => write!(out, "{}", i16::from_be_bytes(array(from)?)),
            Self::Int => write!(out, "{}", int(from)?),
            Self::Long => write!(out, "{}", i64::from_be_bytes(array(from)?)),
            Self::Variable => write!(out, "{}", number(from)?),
            Self::Float => {
                let number = f32::from_be_bytes(array(from)?);
                out.write_all(
                    java_float(f64::from(number), format!("{number}"), format!("{number:E}"))
                        .as_bytes(),
                )
            }
            Self::Double => {
                let number = f64::from_be_bytes(array(from)?);
                out.write_all(
                    java_float(number, format!("{number}"), format!("{number:E}")).as_bytes(),
                )
            }
        }
    }
}

/// A floating point number as Java prints it: plain between a thousandth and ten millions, and never without a point.
fn java_float(number: f64, plain: String, scientific: String) -> String {
    const PLAIN: std::ops::Range<f64> = 1e-3..1e7;
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 || PLAIN.contains(&number.abs()) {
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A length that can be meant.
fn size(length: impl TryInto<usize>) -> io::Result<usize> {
    let length = length.try_into().ok().filter(|length| *length <= PIECE_BYTES_MAX);
    length.ok_or_else(|| damaged("a length makes no sense"))
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut data = [0; N];
    from.read_exact(&mut data)?;
    Ok(data)
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let [byte] = array(from)?;
    Ok(byte)
}

fn int(from: &mut impl Read) -> io::Result<i32> {
    Ok(i32::from_be_bytes(array(from)?))
}

/// The length of a record, or nothing where the file ends.
fn length_or_end(from: &mut impl Read) -> io::Result<Option<i32>> {
    let mut first = [0];
    if from.read(&mut first)? == 0 {
        return Ok(None);
    }
    let [a, b, c] = array(from)?;
    Ok(Some(i32::from_be_bytes([first[0], a, b, c])))
}

/// A number of variable length: small ones are one byte, others begin with how many follow.
fn number(from: &mut impl Read) -> io::Result<i64> {
    let first = i64::from(byte(from)?.cast_signed());
    if first >= -112 {
        return Ok(first);
    }
    let (negative, count) = if first < -120 { (true, -120 - first) } else { (false, -112 - first) };
    let mut value = 0_i64;
    for _ in 0..count {
        value = value << 8 | i64::from(byte(from)?);
    }
    Ok(if negative { !value } else { value })
}

/// So many bytes. Memory grows with what is really there.
fn bytes(from: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    let read = from.take(length as u64).read_to_end(&mut data)?;
    if read == length { Ok(data) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn string(from: &mut impl Read) -> io::Result<String> {
    let length = size(number(from)?)?;
    Ok(String::from_utf8_lossy(&bytes(from, length)?).into_owned())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    const SYNC: [u8; SYNC_BYTES] = [7; SYNC_BYTES];

    fn header(key: &str, value: &str, codec: Option<&str>, blocks: bool) -> Vec<u8> {
        let mut file = b"SEQ\x06".to_vec();
        let mut name = |name: &str| {
            file.push(u8::try_from(name.len()).unwrap());
            file.extend_from_slice(name.as_bytes());
        };
        name(&format!("org.apache.hadoop.io.{key}"));
        name(&format!("org.apache.hadoop.io.{value}"));
        file.extend([u8::from(codec.is_some()), u8::from(blocks)]);
        if let Some(codec) = codec {
            file.push(u8::try_from(codec.len()).unwrap());
            file.extend_from_slice(codec.as_bytes());
        }
        file.extend([0; 4]);
        file.extend(SYNC);
        file
    }

    fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
        let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
        [&length(key.len() + value.len())[..], &length(key.len()), key, value].concat()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
        out.write_all(data).unwrap();
        out.finish().unwrap()
    }

    fn shown(file: &[u8]) -> io::Result<String> {
        let mut out = Vec::new();
        print(&mut &file[..], &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn records_and_sync_marks_are_read() {
        let mut file = header("Text", "IntWritable", None, false);
        file.extend(record(b"\x01a", &1_i32.to_be_bytes()));
        file.extend((-1_i32).to_be_bytes());
        file.extend(SYNC);
        file.extend(record(b"\x02bc", &(-2_i32).to_be_bytes()));
        assert_eq!(shown(&file).unwrap(), "a\t1\nbc\t-2\n");
        for end in 0..file.len() {
            // A file that was cut off is an error or shorter, and never a crash.
            let _ = shown(&file[..end]);
        }
    }

    #[test]
    fn packed_values_and_blocks_are_read() {
        let codec = Some("org.apache.hadoop.io.compress.DefaultCodec");
        let mut file = header("NullWritable", "Text", codec, false);
        file.extend(record(b"", &zlib(b"\x05hello")));
        assert_eq!(shown(&file).unwrap(), "(null)\thello\n");
        let mut file = header("VIntWritable", "BytesWritable", codec, true);
        file.extend((-1_i32).to_be_bytes());
        file.extend(SYNC);
        file.push(2);
        for piece in
            [&b"\x02\x01"[..], b"\x8f\xc8\x05", b"\x05\x06", b"\0\0\0\x01\xff\0\0\0\x02\x01\x02"]
        {
            let packed = zlib(piece);
            file.push(u8::try_from(packed.len()).unwrap());
            file.extend(packed);
        }
        assert_eq!(shown(&file).unwrap(), "200\tff\n5\t01 02\n");
    }

    /// What Hadoop 3.4.3 wrote, and `hdfs dfs -text` showed.
    #[test]
    fn files_of_hadoop_are_shown_as_hadoop_shows_them() {
        const PLAIN: &str = "53455106196f72672e6170616368652e6861646f6f702e696f2e54657874206f72672e6170616368652e6861\
         646f6f702e696f2e496e745772697461626c6501002a6f72672e6170616368652e6861646f6f702e696f2e63\
         6f6d70726573732e44656661756c74436f64656300000001046d6164650762792068616e6447823755f95d0d\
         44c6ff2876c1c8a1380000001000000004036f6e65789c63606060040000050002ffffffff47823755f95d0d\
         44c6ff2876c1c8a1380000001400000008077a77656920c3bc789cfbffffff3f0009f903fc";
        const RECORDS: &str = "53455106216f72672e6170616368652e6861646f6f702e696f2e4e756c6c5772697461626c65226f72672e61\
         70616368652e6861646f6f702e696f2e42797465735772697461626c6501002a6f72672e6170616368652e68\
         61646f6f702e696f2e636f6d70726573732e44656661756c74436f646563000000008a9280eade92e62ca02d\
         1880d00777dc0000000e00000000789c6360606062fc0f00010d01030000000c00000000789c636060600000\
         00040001";
        const BLOCKS: &str = "53455106216f72672e6170616368652e6861646f6f702e696f2e4c6f6e675772697461626c65236f72672e61\
         70616368652e6861646f6f702e696f2e446f75626c655772697461626c6501012a6f72672e6170616368652e\
         6861646f6f702e696f2e636f6d70726573732e44656661756c74436f6465630000000021ffccdaedc4f9e88e\
         e34ebbea826c49ffffffff21ffccdaedc4f9e88ee34ebbea826c49070b789ce3e000030000e7003921789c63\
         604006cc2ffe43001b90c314c2fd84011530fa8248f6e8b3a20050060ac20b789ce3e000030000e700392d78\
         9c63608000fb0f107aff0508ed982c0466d92bafd43208354ab4bf1a0a060eff5478e6ef2b3b09000a460dae";
        let file = |hex: &str| -> Vec<u8> {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(byte).collect()
        };
        assert_eq!(shown(&file(PLAIN)).unwrap(), "one\t1\nzwei ü\t-2\n");
        assert_eq!(shown(&file(RECORDS)).unwrap(), "(null)\t01 ff\n(null)\t\n");
        let rows = ["0\t0.0", "1000\t1.0", "-250\t-0.25", "10000000000\t1.0E7", "0\t1.5E-4"];
        let more = ["333\t0.3333333333333333", "123456789\t123456.789", ""];
        assert_eq!(shown(&file(BLOCKS)).unwrap(), [&rows[..], &more].concat().join("\n"));
    }

    #[test]
    fn numbers_are_printed_as_java_prints_them() {
        let double = |number: f64| {
            let mut out = Vec::new();
            Class::Double.write(&mut out, &number.to_be_bytes()).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(double(1.0), "1.0");
        assert_eq!(double(-0.25), "-0.25");
        assert_eq!(double(1e7), "1.0E7");
        assert_eq!(double(1.5e-4), "1.5E-4");
        assert_eq!(double(0.0), "0.0");
        assert_eq!(double(f64::NAN), "NaN");
    }

    #[test]
    fn what_is_not_known_is_told() {
        let unknown = header("MyWritable", "Text", None, false);
        assert!(shown(&unknown).unwrap_err().to_string().contains("MyWritable"));
        let packed = header("Text", "Text", Some("org.example.Codec"), false);
        assert!(shown(&packed).unwrap_err().to_string().contains("org.example.Codec"));
        let mut long = header("Text", "Text", None, false);
        long.extend(i32::MAX.to_be_bytes());
        assert!(shown(&long).is_err());
    }
}
