//! `ozone daemonlog`: reads and changes log levels of a running daemon over its HTTP port
//! (`org.apache.hadoop.log.LogLevel`).

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::output;

/// How long connecting, and each read, may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Begins the lines that are for us.
const MARKER: &str = "<!-- OUTPUT -->";

/// `ozone daemonlog`.
#[derive(Args, Debug)]
pub struct DaemonlogArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DaemonlogCommand,
}

/// What `ozone daemonlog` does.
#[derive(Subcommand, Debug)]
pub enum DaemonlogCommand {
    /// Print the level of a logger
    #[command(name = "getlevel")]
    GetLevel {
        /// HTTP address of the daemon
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// Java class or package, or a target such as om::rpc
        #[arg(value_name = "LOGGER")]
        logger: String,
        /// How to reach it
        #[arg(long, value_enum, default_value_t)]
        protocol: Protocol,
    },
    /// Change the level of a logger until the daemon stops
    #[command(name = "setlevel")]
    SetLevel {
        /// HTTP address of the daemon
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// Java class or package, or a target such as om::rpc
        #[arg(value_name = "LOGGER")]
        logger: String,
        /// OFF, ERROR, WARN, INFO, DEBUG or TRACE
        #[arg(value_name = "LEVEL")]
        level: String,
        /// How to reach it
        #[arg(long, value_enum, default_value_t)]
        protocol: Protocol,
    },
}

/// How a daemon is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Protocol {
    /// Plain text
    #[default]
    Http,
    /// TLS, which is not supported
    Https,
}

/// Runs `ozone daemonlog …`.
///
/// # Errors
/// The daemon cannot be reached, or does not answer as one.
pub fn run(args: &DaemonlogArgs) -> Result<(), Failure> {
    let (address, protocol, path) = match &args.command {
        DaemonlogCommand::GetLevel { address, logger, protocol } => {
            (address, protocol, format!("/logLevel?log={}", encoded(logger)))
        }
        DaemonlogCommand::SetLevel { address, logger, level, protocol } => {
            let path = format!("/logLevel?log={}&level={}", encoded(logger), encoded(level));
            (address, protocol, path)
        }
    };
    if *protocol == Protocol::Https {
        return Err(Failure::new("https is not supported; use the HTTP port".to_owned()));
    }
    output::line(&format!("Connecting to http://{address}{path}"))?;
    let page = get(address, &path)
        .map_err(|error| Failure::new(format!("cannot ask http://{address}: {error}")))?;
    for line in lines(&page) {
        output::line(&line)?;
    }
    Ok(())
}

/// The lines with the marker, without tags.
fn lines(page: &str) -> impl Iterator<Item = String> {
    page.lines().filter_map(|line| line.strip_prefix(MARKER)).map(|line| {
        let mut text = String::new();
        let mut in_tag = false;
        for letter in line.chars() {
            match letter {
                '<' => in_tag = true,
                '>' => in_tag = false,
                other if !in_tag => text.push(other),
                _ => {}
            }
        }
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    })
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'$' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// The body behind a path. HTTP/1.0, so that it ends with the connection.
fn get(address: &str, path: &str) -> std::io::Result<String> {
    let wrong = |message: String| std::io::Error::other(message);
    let found = address.to_socket_addrs()?.next();
    let found = found.ok_or_else(|| wrong(format!("{address} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&found, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    let answer = String::from_utf8_lossy(&bytes);
    let status = answer.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.") || status.split(' ').nth(1) != Some("200") {
        return Err(wrong(format!("it answered {status:?}")));
    }
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    Ok(body.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_lines_are_shown_and_without_tags() {
        let page = "<html>\n<!-- OUTPUT -->Submitted Class Name: <b>a&amp;b</b><br />\n<p>no</p>\n\
                    <!-- OUTPUT -->Effective Level: <b>INFO</b><br />\n";
        let lines: Vec<_> = lines(page).collect();
        assert_eq!(lines, ["Submitted Class Name: a&b", "Effective Level: INFO"]);
    }
}
