//! What a file holds: `-cat`, `-text`, `-head`, `-tail`, `-checksum`.

use std::io::{Read, Write};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::options::{Format, MANY};
use super::sequence;
use super::shell::{Item, Shell};
use super::system::Reader;
use super::trouble::Trouble;
use super::walk::{Command, Outcome};

/// Bytes that `-head` and `-tail` show.
const END_BYTES: u64 = 1024;
/// First bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// `-cat` and `-text`.
pub struct Cat {
    /// Unpacks files that are packed.
    pub text: bool,
}

impl Command for Cat {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        Format::new(1, MANY, &["ignoreCrc"]).parse(arguments).map(drop)
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        if item.is_directory() {
            return Err(Trouble::is_directory(&item.text));
        }
        let mut reader = item.system.read(&item.path, 0, u64::MAX)?;
        if self.text {
            return print_text(shell, item, reader);
        }
        print(shell, &mut reader)
    }
}

fn print(shell: &mut Shell, reader: &mut Reader) -> Outcome {
    while let Some(piece) = reader.next()? {
        shell.out.write_all(&piece)?;
    }
    Ok(shell.out.flush()?)
}

fn print_text(shell: &mut Shell, item: &Item, mut reader: Reader) -> Outcome {
    let Some(first) = reader.next()? else { return Ok(()) };
    let kind = Packing::of(&first, &item.text);
    let mut stream = Pieces { now: first, reader, trouble: None };
    let copied = match kind {
        Packing::None => copy(&mut stream, &mut shell.out),
        Packing::Gzip => copy(&mut MultiGzDecoder::new(&mut stream), &mut shell.out),
        Packing::Zlib => copy(&mut ZlibDecoder::new(&mut stream), &mut shell.out),
        Packing::Sequence => sequence::print(&mut stream, &mut shell.out).map_err(Trouble::from),
        Packing::Other(what) => {
            return Err(Trouble::path(&item.text, &format!("{what} cannot be shown as text")));
        }
    };
    match (stream.trouble, copied) {
        (Some(trouble), _) | (None, Err(trouble)) => Err(trouble),
        (None, Ok(())) => Ok(shell.out.flush()?),
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> Outcome {
    std::io::copy(from, to)?;
    Ok(())
}

/// How the data of a file is packed.
enum Packing {
    None,
    Gzip,
    Zlib,
    Sequence,
    Other(&'static str),
}

impl Packing {
    fn of(first: &[u8], name: &str) -> Self {
        let extension = name.rsplit('.').next().unwrap_or_default();
        match (first, extension) {
            (first, _) if first.starts_with(&GZIP) => Self::Gzip,
            (first, _) if first.starts_with(sequence::MAGIC) => Self::Sequence,
            (first, _) if first.starts_with(b"Obj\x01") => Self::Other("an Avro file"),
            (_, "deflate") => Self::Zlib,
            (_, "bz2") => Self::Other("a bzip2 file"),
            (_, "zst") => Self::Other("a zstandard file"),
            (_, "snappy") => Self::Other("a snappy file"),
            (_, "lz4") => Self::Other("an lz4 file"),
            _ => Self::None,
        }
    }
}

/// A reader as a stream. What fails is kept, since a stream can only tell less.
struct Pieces {
    now: Bytes,
    reader: Reader,
    trouble: Option<Trouble>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.now.is_empty() {
            match self.reader.next() {
                Ok(Some(piece)) => self.now = piece,
                Ok(None) => return Ok(0),
                Err(trouble) => {
                    let text = trouble.text().to_owned();
                    self.trouble = Some(trouble);
                    return Err(std::io::Error::other(text));
                }
            }
        }
        let count = buffer.len().min(self.now.len());
        buffer[..count].copy_from_slice(&self.now.split_to(count));
        Ok(count)
    }
}

/// `-head`.
pub struct Head;

impl Command for Head {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        Format::new(1, 1, &[]).parse(arguments).map(drop)
    }

    fn expand(&mut self, shell: &mut Shell, argument: &str) -> Result<Vec<Item>, Trouble> {
        Ok(vec![shell.item(argument)?])
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        if item.is_directory() {
            return Err(Trouble::is_directory(&item.text));
        }
        print(shell, &mut item.system.read(&item.path, 0, END_BYTES)?)
    }
}

/// `-tail`.
pub struct Tail {
    follow: bool,
    delay: Duration,
}

impl Default for Tail {
    fn default() -> Self {
        Self { follow: false, delay: Duration::from_secs(5) }
    }
}

impl Command for Tail {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let given = Format::new(1, 1, &["f"]).with_values(&["s"]).parse(arguments)?;
        self.follow = given.has("f");
        if let Some(text) = given.value("s").filter(|text| self.follow && !text.is_empty()) {
            let wrong = || Trouble::Illegal(format!("For input string: \"{text}\""));
            let milliseconds: i64 = text.parse().map_err(|_| wrong())?;
            if let Ok(delay @ 1..) = u64::try_from(milliseconds) {
                self.delay = Duration::from_millis(delay);
            }
        }
        Ok(())
    }

    fn expand(&mut self, shell: &mut Shell, argument: &str) -> Result<Vec<Item>, Trouble> {
        Ok(vec![shell.item(argument)?])
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        if item.is_directory() {
            return Err(Trouble::is_directory(&item.text));
        }
        let mut offset = item.length().saturating_sub(END_BYTES);
        loop {
            let length = item.system.status(&item.path)?.length;
            // A file that became shorter is shown from where it ends now.
            if length < offset {
                offset = length;
            }
            if length > offset {
                print(shell, &mut item.system.read(&item.path, offset, length - offset)?)?;
                offset = length;
            }
            if !self.follow {
                return Ok(());
            }
            std::thread::sleep(self.delay);
        }
    }
}

/// `-checksum`.
#[derive(Default)]
pub struct Checksum {
    block_size: bool,
}

impl Command for Checksum {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        self.block_size = Format::new(1, MANY, &["v"]).parse(arguments)?.has("v");
        Ok(())
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        if item.is_directory() {
            return Err(Trouble::is_directory(&item.text));
        }
        let sum = match item.system.checksum(&item.path)? {
            Some(sum) => format!("{}\t{}", sum.algorithm, sum.hex()),
            None => "NONE".to_owned(),
        };
        let block = item.status.as_ref().map_or(0, |status| status.block_size);
        let block = if self.block_size { format!("\tBlockSize={block}") } else { String::new() };
        shell.line(&format!("{}\t{sum}{block}", item.text))
    }
}
