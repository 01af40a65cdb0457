//! `/stacks`: threads of the process, what they wait for in the kernel, and the async runtime.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use tokio::runtime::Handle;

use crate::page::typed;

const KIND: &str = "text/plain;charset=utf-8";

pub fn routes() -> Router {
    let page = || async {
        let runtime = runtime();
        let threads = tokio::task::spawn_blocking(threads).await.unwrap_or_default();
        typed(StatusCode::OK, KIND, format!("{threads}{runtime}"))
    };
    Router::new().route("/stacks", get(page))
}

fn runtime() -> String {
    let metrics = Handle::current().metrics();
    format!(
        "Async runtime:\n  Workers: {}\n  Tasks alive: {}\n  Tasks waiting in the common queue: {}\n",
        metrics.num_workers(),
        metrics.num_alive_tasks(),
        metrics.global_queue_depth(),
    )
}

fn threads() -> String {
    let mut ids: Vec<u32> = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    ids.sort_unstable();
    let mut text = format!("Process Thread Dump: \n{} active threads\n", ids.len());
    for id in ids {
        thread(&mut text, id);
    }
    text
}

/// A thread that ended meanwhile is left out.
fn thread(text: &mut String, id: u32) {
    let directory = Path::new("/proc/self/task").join(id.to_string());
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let stat = read("stat");
    // The name, in parentheses, may hold spaces and parentheses.
    let Some((_, fields)) = stat.rsplit_once(") ") else { return };
    let fields: Vec<&str> = fields.split(' ').collect();
    let field = |n: usize| fields.get(n).copied().unwrap_or_default();
    let ticks = |n: usize| field(n).parse::<u64>().unwrap_or(0);
    let state = match field(0) {
        "R" => "RUNNABLE",
        "S" => "WAITING",
        "D" => "BLOCKED (disk)",
        "T" | "t" => "STOPPED",
        other => other,
    };
    // A tick is 10 ms on every Linux that matters (USER_HZ).
    let seconds = |ticks: u64| ticks as f64 / 100.0;
    let status = read("status");
    let switches = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_default().trim().to_owned()
    };
    let _ = writeln!(text, "Thread {id} ({}):\n  State: {state}", read("comm").trim());
    let (user, system) = (seconds(ticks(11)), seconds(ticks(12)));
    let _ = writeln!(text, "  CPU: {user:.2} s user, {system:.2} s system");
    let _ = writeln!(text, "  Waited count: {}", switches("voluntary_ctxt_switches:"));
    let waits_in = read("wchan");
    if !waits_in.is_empty() && waits_in != "0" {
        let _ = writeln!(text, "  Waiting in {waits_in}");
    }
    // Only root may read it.
    for line in read("stack").lines() {
        let _ = writeln!(text, "    {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_thread_is_in_the_dump() {
        let name = "dump (me) x";
        let dump = std::thread::Builder::new().name(name.to_owned()).spawn(threads).unwrap();
        let dump = dump.join().unwrap();
        assert!(dump.starts_with("Process Thread Dump: \n"), "{dump}");
        assert!(dump.contains(&format!("({name}):\n  State: ")), "{dump}");
    }
}
