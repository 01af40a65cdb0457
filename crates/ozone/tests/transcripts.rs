//! The recorded answers of the genuine shell (`golden/transcripts`), as far as they need no cluster:
//! wrong command lines, and the look of JSON. `tests/interop` compares all of them on a cluster.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// One command and its answer.
struct Exchange {
    file: String,
    arguments: Vec<String>,
    out: Vec<String>,
    err: Vec<String>,
    code: i32,
}

fn exchanges() -> Vec<Exchange> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../golden/transcripts");
    let mut found: Vec<Exchange> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let (mark, rest) = line.split_at(line.len().min(2));
            match (mark.trim(), found.last_mut()) {
                ("$", _) => found.push(Exchange {
                    file: path.display().to_string(),
                    arguments: split(&rest.replace("{om}", "127.0.0.1:1")),
                    out: Vec::new(),
                    err: Vec::new(),
                    code: 0,
                }),
                ("|", Some(last)) => last.out.push(rest.to_owned()),
                ("!", Some(last)) => last.err.push(rest.to_owned()),
                ("=", Some(last)) => last.code = rest.trim().parse().unwrap(),
                _ => {}
            }
        }
    }
    assert!(found.len() > 100, "the transcripts are not where they were");
    found
}

/// Words of a command line; single and double quotes hold words together.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for char in line.chars() {
        match (quote, char) {
            (Some(open), _) if char == open => quote = None,
            (Some(_), _) => word.push(char),
            (None, '\'' | '"') => {
                quote = Some(char);
                begun = true;
            }
            (None, ' ') if begun => {
                words.push(std::mem::take(&mut word));
                begun = false;
            }
            (None, ' ') => {}
            (None, _) => {
                word.push(char);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// What we do not answer alike, each with a reason.
fn differs(arguments: &[String]) -> bool {
    let text = arguments.join(" ");
    // `-D` is understood after every command, not only after `sh`.
    text.contains("put") && text.contains("-D ")
        // The genuine line tells of Java reflection.
        || text.contains("-t NOPE")
        // It may be a value there, and is one here.
        || text.contains("--help")
}

#[test]
fn wrong_command_lines_get_the_recorded_first_line_and_exit_code() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for case in exchanges().into_iter().filter(|case| case.code == 2) {
        if differs(&case.arguments) {
            continue;
        }
        let output = Command::new(env!("CARGO_BIN_EXE_ozone"))
            .args(&case.arguments)
            .env_remove("OZONE_CONF_DIR")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).replace("127.0.0.1:1", "<address>");
        let shown = format!("{}: {:?}\n{stderr}", case.file, case.arguments);
        assert_eq!(output.status.code(), Some(2), "{shown}");
        assert!(output.stdout.is_empty(), "{shown}");
        if stderr.lines().next() != case.err.first().map(String::as_str) {
            wrong.push(format!(
                "{:?}\n  recorded: {:?}\n  ours: {:?}",
                case.arguments,
                case.err.first(),
                stderr.lines().next()
            ));
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 20, "only {checked} cases were found");
}

#[test]
fn every_recorded_json_is_printed_again_to_the_byte() {
    let mut checked = 0;
    for case in exchanges() {
        let text = case.out.join("\n");
        // Lists of several buckets are several documents; masks of numbers are no JSON.
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        assert_eq!(ozone::json::pretty(&value), text, "{}: {:?}", case.file, case.arguments);
        checked += 1;
    }
    assert!(checked > 30, "only {checked} documents were found");
}
