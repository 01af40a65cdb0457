//! Commands that move data: `put`, `get`, `cat`, `cp`, `rewrite`.
//!
//! Files are read and written by the thread of the command; the network has its own.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use ozone_client::key::{KeyReader, KeyWriter, NewKey, gdpr};
use sha2::{Digest, Sha256};

use super::super::{Session, bucket};
use super::{AddressArg, CopyArgs, GetArgs, PutArgs, RewriteArgs, open};
use crate::address::Kind;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::sh::options::ReplicationOptions;

/// Bytes read at once for a checksum.
const HASH_BUFFER_BYTES: usize = 1 << 20;

pub fn put(session: &Session, args: PutArgs) -> Result<(), Failure> {
    args.replication.check()?;
    let (client, address) = open(session, &args.at)?;
    if session.verbose {
        session.print(&format!("File sha256 checksum : {}", sha256(&args.file)?))?;
    }
    let replication = args.replication.given_or_configured(session)?;
    session.block_on_transfer(async {
        let bucket = bucket::find(&client, &address).await?;
        if session.verbose {
            session.print("API: async")?;
        }
        let mut file = File::open(&args.file).map_err(|e| Failure::file(&args.file, &e))?;
        let found = file.metadata().map_err(|e| Failure::file(&args.file, &e))?;
        if found.is_dir() {
            return Err(Failure::new("Is a directory"));
        }
        let size = found.len();
        let mut new = NewKey { size, replication, ..Default::default() };
        if let Some(generation) = args.expected_generation {
            let positive = u64::try_from(generation).ok().filter(|number| *number > 0);
            new.expected_generation = Some(positive.ok_or_else(|| {
                Failure::new(format!("expectedGeneration must be positive, but was {generation}"))
            })?);
        }
        if gdpr::is_on(&bucket.metadata) {
            new.metadata.insert(gdpr::FLAG.to_owned(), true.to_string());
        }
        let mut writer =
            client.create_key(&address.volume, &address.bucket, &address.key, new).await?;
        let chunk = client.settings().blocks.chunk_bytes;
        send_file(&mut file, &args.file, &mut writer, size, chunk).await?;
        Ok(writer.close().await?)
    })
}

async fn send_file(
    file: &mut File,
    path: &Path,
    writer: &mut KeyWriter,
    size: u64,
    chunk_bytes: usize,
) -> Result<(), Failure> {
    let progress = Progress::new(size, "put");
    loop {
        let chunk = read_chunk(file, chunk_bytes).map_err(|e| Failure::file(path, &e))?;
        if chunk.is_empty() {
            return Ok(());
        }
        let length = chunk.len() as u64;
        writer.write(chunk).await?;
        progress.add(length);
    }
}

/// Reads until the chunk is full or the file ends.
fn read_chunk(file: &mut File, bytes: usize) -> io::Result<Bytes> {
    let mut chunk = BytesMut::with_capacity(bytes);
    let mut taken = file.take(bytes as u64);
    let mut buffer = [0; 64 << 10];
    loop {
        match taken.read(&mut buffer) {
            Ok(0) => return Ok(chunk.freeze()),
            Ok(count) => chunk.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub fn get(session: &Session, args: &GetArgs) -> Result<(), Failure> {
    let (client, address) = open(session, &args.at)?;
    let mut path = args.file.clone();
    if path.is_dir() {
        path = join(&path, &address.key);
    }
    if path.exists() && !args.force {
        return Err(Failure::new(format!(
            "{} exists. Download would overwrite an existing file. Aborting.",
            path.display()
        )));
    }
    session.block_on_transfer(async {
        bucket::find(&client, &address).await?;
        let mut reader = client.read_key(&address.volume, &address.bucket, &address.key).await?;
        let mut file = File::create(&path).map_err(|e| Failure::file(&path, &e))?;
        receive(&mut reader, &mut file, "get").await
    })?;
    if session.verbose && path != Path::new("/dev/null") {
        session.print(&format!("Downloaded file sha256 checksum : {}", sha256(&path)?))?;
    }
    Ok(())
}

/// A key with slashes keeps them below the directory, also a leading one.
fn join(directory: &Path, key: &str) -> PathBuf {
    directory.join(key.trim_start_matches('/'))
}

async fn receive(
    reader: &mut KeyReader,
    out: &mut impl Write,
    verb: &'static str,
) -> Result<(), Failure> {
    let progress = Progress::new(reader.length(), verb);
    while let Some(piece) = reader.next().await? {
        out.write_all(&piece)?;
        progress.add(piece.len() as u64);
    }
    out.flush()?;
    Ok(())
}

pub fn cat(session: &Session, args: &AddressArg) -> Result<(), Failure> {
    let (client, address) = open(session, args)?;
    session.block_on_transfer(async {
        bucket::find(&client, &address).await?;
        let mut reader = client.read_key(&address.volume, &address.bucket, &address.key).await?;
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            while let Some(piece) = reader.next().await? {
                out.write_all(&piece)?;
            }
            out.flush()?;
            return Ok(());
        }
        receive(&mut reader, &mut out, "cat").await
    })
}

pub fn copy(session: &Session, args: &CopyArgs) -> Result<(), Failure> {
    args.replication.check()?;
    let address = session.address(&args.keys.address, Kind::Bucket, 0)?;
    let client = session.client(&address)?;
    let (from, to) = (&args.keys.from, &args.keys.to);
    session.block_on_transfer(async {
        let bucket = bucket::find(&client, &address).await?;
        let replication = args.replication.given_or_configured(session)?;
        let mut reader = client.read_key(&address.volume, &address.bucket, from).await?;
        let mut metadata = reader.key().metadata.clone();
        gdpr::forget_secret(&mut metadata);
        if gdpr::is_on(&bucket.metadata) {
            metadata.insert(gdpr::FLAG.to_owned(), true.to_string());
        }
        let new =
            NewKey { size: reader.length(), replication, metadata, expected_generation: None };
        let mut writer = client.create_key(&address.volume, &address.bucket, to, new).await?;
        pass(&mut reader, &mut writer).await?;
        writer.close().await?;
        if session.verbose {
            session.print(&format!("Copy Key : {from} to {to}"))?;
        }
        Ok(())
    })
}

pub fn rewrite(session: &Session, args: RewriteArgs) -> Result<(), Failure> {
    let options = ReplicationOptions::from(args.replication);
    options.check()?;
    let (client, address) = open(session, &args.at)?;
    session.block_on_transfer(async {
        bucket::find(&client, &address).await?;
        let (volume, bucket, name) = (&address.volume, &address.bucket, &address.key);
        let key = client.key(volume, bucket, name, false).await?;
        let wanted = options.given_or_configured(session)?;
        if wanted.is_none() || wanted == key.summary.replication {
            let now = key.summary.replication.map(|now| now.to_string()).unwrap_or_default();
            eprintln!("Replication unchanged: {now}");
            return Ok(());
        }
        let new = NewKey {
            size: key.summary.data_size,
            replication: wanted,
            metadata: key.metadata.clone(),
            expected_generation: Some(key.generation),
        };
        let length = key.summary.data_size;
        let mut reader = client.read(key, 0, length).await?;
        let mut writer = client.create_key(volume, bucket, name, new).await?;
        pass(&mut reader, &mut writer).await?;
        Ok(writer.close().await?)
    })
}

async fn pass(reader: &mut KeyReader, writer: &mut KeyWriter) -> Result<(), Failure> {
    let progress = Progress::new(reader.length(), "copy");
    while let Some(piece) = reader.next().await? {
        let length = piece.len() as u64;
        writer.write(piece).await?;
        progress.add(length);
    }
    Ok(())
}

fn sha256(path: &Path) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::file(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hash.update(&buffer[..count]),
        }
    }
}
