//! What a process finds after another was killed is in the page cache, which is not yet the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ratis_log::LogSettings;
use ratis_log::files::{Change, Frames, LogFiles};
use ratis_log::folder::{Folder, WritableFile};
use ratis_proto::common::{LogEntryProto, MetadataProto, log_entry_proto::LogEntryBody};

/// A folder that notes what is synced.
#[derive(Clone)]
struct Noting {
    path: PathBuf,
    synced: Arc<Mutex<Vec<String>>>,
}

struct NotingFile {
    file: File,
    name: String,
    synced: Arc<Mutex<Vec<String>>>,
}

impl WritableFile for NotingFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(&self.file, bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.synced.lock().unwrap().push(self.name.clone());
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Noting {
    fn file(&self, name: &str, file: File) -> Box<dyn WritableFile> {
        Box::new(NotingFile { file, name: name.to_owned(), synced: self.synced.clone() })
    }
}

impl Folder for Noting {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?;
        Ok(names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WritableFile>> {
        Ok(self.file(name, File::create(self.path.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn WritableFile>> {
        Ok(self.file(name, OpenOptions::new().write(true).open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.synced.lock().unwrap().push(String::new());
        Ok(())
    }
}

#[test]
fn entries_that_a_killed_process_did_not_sync_are_synced_before_they_count() {
    let directory = tempfile::tempdir().unwrap();
    let folder =
        Noting { path: directory.path().to_owned(), synced: Arc::new(Mutex::new(Vec::new())) };
    let entry = LogEntryProto {
        term: 1,
        index: 0,
        log_entry_body: Some(LogEntryBody::MetadataEntry(MetadataProto { commit_index: 0 })),
    };
    let settings = LogSettings::default();
    let (mut files, _) = LogFiles::open(Box::new(folder.clone()), settings).unwrap();
    files.change(Change::Append(Frames::encode(&[entry], 0))).unwrap();
    drop(files);
    folder.synced.lock().unwrap().clear();

    let (_, found) = LogFiles::open(Box::new(folder.clone()), settings).unwrap();
    assert_eq!(found.next, 1);
    assert_eq!(*folder.synced.lock().unwrap(), ["log_inprogress_0", ""]);
}
