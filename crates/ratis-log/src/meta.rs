//! Term and vote (`raft-meta`) and the latest configuration (`raft-meta.conf`).

use std::fs::File;
use std::path::Path;

use prost::Message;
use ratis_proto::common::LogEntryProto;

use crate::error::LogError;
use crate::folder::Place;

/// Name of the file with term and vote.
pub(crate) const META: &str = "raft-meta";
/// Name of the file with the latest applied configuration entry.
pub(crate) const CONFIGURATION: &str = "raft-meta.conf";

/// What a member must remember before it answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// Current term, 0 before the first.
    pub term: u64,
    /// Peer that got this member's vote in the term.
    pub voted_for: Option<String>,
    /// The member is being taken into the group and does not vote yet. Ours alone: Java passes over the
    /// key, and where it is missing the member is a full one.
    pub initializing: bool,
}

impl Metadata {
    /// As Java's `Properties.store` writes it.
    pub(crate) fn to_properties(&self) -> String {
        let date = chrono::Utc::now().format("%a %b %d %H:%M:%S UTC %Y");
        let vote = escape(self.voted_for.as_deref().unwrap_or_default());
        let initializing = if self.initializing { "initializing=true\n" } else { "" };
        format!("#\n#{date}\nterm={}\nvotedFor={vote}\n{initializing}", self.term)
    }

    /// Reads what `Properties.load` would.
    pub(crate) fn from_properties(text: &str) -> Result<Self, String> {
        let mut metadata = Self::default();
        let mut has_term = false;
        for line in text.lines() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
            match key.trim() {
                "term" => {
                    let value = value.trim();
                    metadata.term = value.parse().map_err(|_| format!("term is {value:?}"))?;
                    has_term = true;
                }
                "votedFor" => {
                    let vote = unescape(value.trim_start());
                    metadata.voted_for = (!vote.is_empty()).then_some(vote);
                }
                "initializing" => metadata.initializing = value.trim() == "true",
                _ => {}
            }
        }
        if has_term { Ok(metadata) } else { Err("there is no term".to_owned()) }
    }
}

fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, ':' | '=' | '#' | '!' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// Reads term and vote.
pub(crate) fn read_metadata(place: &Place) -> Result<Option<Metadata>, LogError> {
    let Some(bytes) = place.read_if_there(META)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    Metadata::from_properties(&text).map(Some).map_err(|reason| LogError::Corrupt {
        path: place.path(META),
        offset: 0,
        reason,
    })
}

/// Reads the latest applied configuration.
pub(crate) fn read_configuration(place: &Place) -> Result<Option<LogEntryProto>, LogError> {
    let Some(bytes) = place.read_if_there(CONFIGURATION)? else { return Ok(None) };
    LogEntryProto::decode(bytes.as_slice()).map(Some).map_err(|e| LogError::Corrupt {
        path: place.path(CONFIGURATION),
        offset: 0,
        reason: e.to_string(),
    })
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), LogError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(LogError::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_java_are_read_back() {
        let text = "#\n#Fri Nov 20 10:00:00 UTC 2026\nterm=7\nvotedFor=om\\:1\n";
        let metadata = Metadata::from_properties(text).unwrap();
        assert_eq!(
            metadata,
            Metadata { term: 7, voted_for: Some("om:1".to_owned()), initializing: false }
        );
        assert_eq!(Metadata::from_properties(&metadata.to_properties()).unwrap(), metadata);
    }

    #[test]
    fn a_member_that_is_taken_in_stays_so_over_a_restart() {
        let metadata = Metadata { term: 3, voted_for: None, initializing: true };
        assert_eq!(Metadata::from_properties(&metadata.to_properties()).unwrap(), metadata);
    }

    #[test]
    fn an_empty_vote_is_no_vote() {
        let metadata = Metadata::from_properties("votedFor=\nterm=0\n").unwrap();
        assert_eq!(metadata, Metadata::default());
        assert!(Metadata::from_properties("votedFor=x\n").is_err());
    }
}
