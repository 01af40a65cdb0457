//! Java's loggers and levels in terms of ours: operators know `org.apache.hadoop.ozone.om`.

use tracing_subscriber::filter::LevelFilter;

/// Our targets, and the Java package whose work each does.
const PACKAGES: [(&str, &str); 19] = [
    ("om", "org.apache.hadoop.ozone.om"),
    ("om_core", "org.apache.hadoop.ozone.om.request"),
    ("om::audit", "OMAudit"),
    ("scm", "org.apache.hadoop.hdds.scm"),
    ("scm_core", "org.apache.hadoop.hdds.scm.container"),
    ("scm_core", "org.apache.hadoop.hdds.scm.pipeline"),
    ("datanode", "org.apache.hadoop.ozone.container"),
    ("datanode", "org.apache.hadoop.ozone.HddsDatanodeService"),
    ("container_store", "org.apache.hadoop.ozone.container.keyvalue"),
    ("hdds_client", "org.apache.hadoop.hdds.scm.storage"),
    ("ozone_client", "org.apache.hadoop.ozone.client"),
    ("ozone_http", "org.apache.hadoop.hdds.server.http"),
    ("ozone_db_rocks", "org.apache.hadoop.hdds.utils.db"),
    ("hadoop_rpc", "org.apache.hadoop.ipc"),
    ("hadoop_rpc", "org.apache.hadoop.ipc_"),
    ("ratis_core", "org.apache.ratis.server.impl"),
    ("multiraft", "org.apache.ratis.server"),
    ("ratis_log", "org.apache.ratis.server.raftlog"),
    ("ratis", "org.apache.ratis.grpc"),
];

/// What the root logger is called.
const ROOTS: [&str; 2] = ["root", "org.apache"];

/// The targets behind a logger: those of all packages in it, else of the nearest package around it. The
/// root has none, which means everything; a name without dots, or with `::`, is a target itself.
pub fn targets(logger: &str) -> Vec<&str> {
    if ROOTS.contains(&logger) {
        return Vec::new();
    }
    let of = |wanted: &dyn Fn(&str) -> bool| {
        let mut found: Vec<&str> = PACKAGES
            .iter()
            .filter(|(_, package)| wanted(package))
            .map(|(target, _)| *target)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    let inside = of(&|package| within(package, logger));
    if !inside.is_empty() {
        return inside;
    }
    let around = PACKAGES.iter().filter(|(_, package)| within(logger, package));
    let nearest = around.max_by_key(|(_, package)| package.len());
    nearest.map_or_else(|| vec![logger], |(target, _)| vec![target])
}

/// Whether `name` is `package` or in it.
fn within(name: &str, package: &str) -> bool {
    name.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '$']))
}

/// A level by its Java or its own name.
pub fn level(text: &str) -> Option<LevelFilter> {
    Some(match text.to_ascii_uppercase().as_str() {
        "OFF" => LevelFilter::OFF,
        "FATAL" | "ERROR" => LevelFilter::ERROR,
        "WARN" | "WARNING" => LevelFilter::WARN,
        "INFO" => LevelFilter::INFO,
        "DEBUG" => LevelFilter::DEBUG,
        "TRACE" | "ALL" => LevelFilter::TRACE,
        _ => return None,
    })
}

/// The Java name of a level.
pub fn name(level: LevelFilter) -> &'static str {
    match level.into_level() {
        None => "OFF",
        Some(level) => level.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_loggers_reach_the_targets_that_do_their_work() {
        assert_eq!(targets("org.apache.hadoop.ozone.om"), ["om", "om_core"]);
        let class = "org.apache.hadoop.ozone.om.request.key.OMKeyCommitRequest";
        assert_eq!(targets(class), ["om_core"]);
        assert_eq!(targets("org.apache.hadoop.ozone.om.OzoneManager"), ["om"]);
        assert_eq!(targets("org.apache.ratis"), ["multiraft", "ratis", "ratis_core", "ratis_log"]);
        assert_eq!(targets("om::rpc"), ["om::rpc"]);
        assert!(targets("org.apache.hadoop").contains(&"hadoop_rpc"));
        assert!(targets("root").is_empty());
    }
}
