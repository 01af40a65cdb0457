//! Asks an Ozone Manager and writes down what it answers, without what differs from run to run.

use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use hadoop_rpc::client::CallError;
use om_proto::{KeyInfo, OmRequest, OmResponse, Status};

use crate::asker::Asker;

/// Numbers that are ids or times.
const MASKED: [&str; 20] = [
    "expected_data_generation",
    "object_id",
    "update_id",
    "parent_id",
    "creation_time",
    "modification_time",
    "id",
    "client_id",
    "container_id",
    "local_id",
    "block_commit_sequence_id",
    "bucket_id",
    "volume_id",
    "sequence_number",
    "latest_sequence_number",
    "current_txn_index",
    "txn_id",
    "payload",
    "aws_secret",
    "data",
];
/// What depends on the cluster, or on nothing that a client sees.
const LEFT_OUT: [&str; 3] = ["om_lock_details", "leader_om_node_id", "trace_id"];

/// One server, asked as several users; every answer is kept under the name of its question.
pub struct Transcript {
    om: Asker,
    user: String,
    area: String,
    answers: Vec<(String, String)>,
}

impl Transcript {
    pub fn new(om: SocketAddr) -> Self {
        Self {
            om: Asker::new(om),
            user: "root".to_owned(),
            area: String::new(),
            answers: Vec::new(),
        }
    }

    /// Names of the questions that follow begin with this.
    pub fn area(&mut self, area: &str) {
        area.clone_into(&mut self.area);
    }

    /// Who asks from now on.
    pub fn user(&mut self, user: &str) {
        user.clone_into(&mut self.user);
    }

    /// Asks and writes the answer down.
    pub async fn ask(&mut self, name: &str, request: OmRequest) -> OmResponse {
        let answer = self.om.ask(&self.user, &request).await;
        let name = format!("{} | {name}", self.area);
        // Asked again, a question gets a number.
        let again = format!("{name} (");
        let count =
            self.answers.iter().filter(|(n, _)| *n == name || n.starts_with(&again)).count();
        let name = if count == 0 { name } else { format!("{name} ({})", count + 1) };
        self.answers.push((name, text_of(answer.clone())));
        answer.unwrap_or_default()
    }

    /// Asks for something that the next questions need.
    pub async fn must(&mut self, name: &str, request: OmRequest) -> OmResponse {
        let answer = self.ask(name, request).await;
        if answer.status() != Status::Ok {
            eprintln!("{} | {name}: {:?} {:?}", self.area, answer.status(), answer.message);
        }
        answer
    }

    /// All answers, as a golden file holds them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, answer) in &self.answers {
            let _ = write!(text, "== {name}\n{answer}");
        }
        text
    }
}

/// An answer as golden files hold it, or the first line of an exception.
pub fn text_of(answer: Result<OmResponse, CallError>) -> String {
    match answer {
        Ok(mut answer) => {
            sort_pairs(&mut answer);
            short_acls(&plain(&format!("{answer:#?}")))
        }
        Err(error) => {
            let text = masked_text(error.to_string().lines().next().unwrap_or_default());
            format!(" {text}\n")
        }
    }
}

/// Java keeps metadata and tags in no order.
fn sort_pairs(answer: &mut OmResponse) {
    let mut keys: Vec<&mut KeyInfo> = Vec::new();
    keys.extend(answer.create_key_response.as_mut().and_then(|r| r.key_info.as_mut()));
    keys.extend(answer.create_file_response.as_mut().and_then(|r| r.key_info.as_mut()));
    keys.extend(answer.lookup_key_response.as_mut().and_then(|r| r.key_info.as_mut()));
    keys.extend(answer.get_key_info_response.as_mut().and_then(|r| r.key_info.as_mut()));
    keys.extend(answer.lookup_file_response.as_mut().and_then(|r| r.key_info.as_mut()));
    keys.extend(answer.get_file_status_response.as_mut().and_then(|r| r.status.key_info.as_mut()));
    keys.extend(
        answer
            .recover_lease_response
            .iter_mut()
            .flat_map(|r| r.key_info.iter_mut().chain(r.open_key_info.iter_mut())),
    );
    keys.extend(answer.list_keys_response.iter_mut().flat_map(|r| r.key_info.iter_mut()));
    keys.extend(answer.list_open_files_response.iter_mut().flat_map(|r| r.key_info.iter_mut()));
    keys.extend(
        answer
            .list_status_response
            .iter_mut()
            .flat_map(|r| r.statuses.iter_mut())
            .filter_map(|status| status.key_info.as_mut()),
    );
    // How many batches an answer holds, and what is in them, is each database's own.
    if let Some(updates) = &mut answer.db_updates_response {
        updates.data = vec![Bytes::from_static(b"*"); updates.data.len().min(1)];
    }
    for key in keys {
        key.metadata.sort_by(|a, b| a.key.cmp(&b.key));
        key.tags.sort_by(|a, b| a.key.cmp(&b.key));
        // The client id of an hsync is an id.
        for pair in key.metadata.iter_mut().filter(|pair| pair.key == "hsyncClientId") {
            pair.value = Some("*".to_owned());
        }
    }
}

/// The answers of a golden file by name, in its order.
pub fn parse(text: &str) -> Vec<(String, String)> {
    text.split("== ")
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
        .map(|(name, answer)| (name.to_owned(), answer.to_owned()))
        .collect()
}

/// A message as one line per field: without `Some`, `None`, empty lists, ids, times and pipelines.
pub fn plain(debug: &str) -> String {
    let mut text = String::new();
    // Open brackets; those of `Some(` are not shown.
    let mut open: Vec<bool> = Vec::new();
    let mut hidden: Option<usize> = None;
    let mut prefix = String::new();
    for line in debug.lines() {
        let line = line.trim();
        let closes = line.starts_with(['}', ']', ')']);
        if closes {
            open.pop();
            if hidden == Some(open.len()) {
                hidden = None;
            }
            continue;
        }
        let opens = line.ends_with(['{', '[', '(']);
        let name = line.split(':').next().unwrap_or_default();
        let starts_hidden = hidden.is_none() && opens && hides(name);
        if starts_hidden {
            if name == "pipeline" {
                push(&mut text, &open, "pipeline: *");
            }
            hidden = Some(open.len());
        }
        if opens && (hidden.is_some() || line.ends_with("Some(")) {
            if hidden.is_none() {
                prefix.push_str(line.trim_end_matches("Some("));
            }
            open.push(false);
            continue;
        }
        if hidden.is_some() || line.ends_with(": None,") || line.ends_with(": [],") {
            continue;
        }
        let line = format!("{}{line}", std::mem::take(&mut prefix));
        // The depth says what closes.
        push(
            &mut text,
            &open,
            masked(line.trim_end_matches(',')).trim_end_matches([' ', '{', '[']),
        );
        if opens {
            open.push(true);
        }
    }
    text
}

/// The four fields of an ACL in one line.
fn short_acls(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut short = String::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let is_acl = line.trim() == "OzoneAclInfo" && at + 4 < lines.len();
        if is_acl {
            let field = |n: usize| lines[at + n].split_once(": ").map_or("", |(_, value)| value);
            let indent = &line[..line.len() - line.trim_start().len()];
            let _ = writeln!(short, "{indent}{} {} {} {}", field(1), field(2), field(3), field(4));
            at += 5;
        } else {
            let _ = writeln!(short, "{line}");
            at += 1;
        }
    }
    short
}

fn hides(name: &str) -> bool {
    name == "pipeline" || LEFT_OUT.contains(&name)
}

fn push(text: &mut String, open: &[bool], line: &str) {
    if line == "OmResponse" || LEFT_OUT.iter().any(|name| line.starts_with(&format!("{name}: "))) {
        return;
    }
    let depth = open.iter().filter(|shown| **shown).count();
    let _ = writeln!(text, "{:1$}{line}", "", depth);
}

fn masked(line: &str) -> String {
    let Some((name, value)) = line.split_once(": ") else { return masked_text(line) };
    if MASKED.contains(&name) && !value.ends_with(['{', '[']) {
        let told = if value == "0" || value == u64::MAX.to_string() { value } else { "*" };
        return format!("{name}: {told}");
    }
    if name == "message" && value.contains("generation") {
        return masked_text(&value.replace(|c: char| c.is_ascii_digit(), ""));
    }
    format!("{name}: {}", masked_text(value))
}

/// Long numbers and long runs of hexadecimal digits are ids.
fn masked_text(text: &str) -> String {
    let mut masked = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_hexdigit() || c == '-' {
            run.push(c);
            continue;
        }
        let digits = run.chars().filter(char::is_ascii_digit).count();
        let number = run.trim_start_matches('-').chars().all(|c| c.is_ascii_digit());
        if run.len() >= 32 || (digits >= 12 && (number || digits + 4 > run.len())) {
            masked.push('*');
        } else {
            masked.push_str(&run);
        }
        run.clear();
        if c != '\0' {
            masked.push(c);
        }
    }
    masked
}
