//! `/logLevel` (`LogLevel.Servlet`): what `ozone daemonlog` reads and changes. That tool prints the lines
//! with the marker, without their tags.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use ozone_daemon::logging::{self, loggers};

use crate::page::{escape, typed};
use crate::query::Query;

/// Begins the lines that tools read.
const MARKER: &str = "<!-- OUTPUT -->";
/// What a genuine server tells is its class of loggers.
const LOG_CLASS: &str = "tracing";

pub fn routes() -> Router {
    let page = |query: Query| async move {
        let log = query.get("log").filter(|log| !log.is_empty());
        respond(log, query.get("level").filter(|level| !level.is_empty()))
    };
    Router::new().route("/logLevel", get(page))
}

fn respond(log: Option<&str>, level: Option<&str>) -> Response {
    let mut page = String::from("<html>\n<title>Log Level</title>\n<body>\n<h1>Log Level</h1>\n\n");
    if let Some(log) = log {
        page.push_str("<br /><hr /><h3>Results</h3>\n");
        for (what, value) in results(log, level) {
            let value =
                if value.is_empty() { String::new() } else { format!("<b>{}</b>", escape(&value)) };
            page.push_str(&format!("{MARKER}{what}{value}<br />\n"));
        }
    }
    page.push_str(
        "\n<br /><hr /><h3>Get / Set</h3>\n\
         <form>Class Name: <input type='text' size='50' name='log' /> <input type='submit' value='Get Log Level' /></form>\n\
         <form>Class Name: <input type='text' size='50' name='log' /> Level: <input type='text' name='level' /> <input type='submit' value='Set Log Level' /></form>\n\
         </body></html>\n",
    );
    typed(StatusCode::OK, "text/html;charset=utf-8", page)
}

fn results(log: &str, level: Option<&str>) -> Vec<(String, String)> {
    let line = |what: &str, value: &str| (what.to_owned(), value.to_owned());
    let mut lines = vec![line("Submitted Class Name: ", log), line("Log Class: ", LOG_CLASS)];
    let targets = loggers::targets(log);
    lines.push(line("Log Targets: ", &targets.join(" ")));
    if let Some(text) = level {
        lines.push(line("Submitted Level: ", text));
        match loggers::level(text) {
            None => lines.push(line("Bad Level : ", text)),
            Some(level) => {
                let level_name = loggers::name(level);
                lines.push((format!("Setting Level to {level_name} ..."), String::new()));
                if let Err(error) = logging::set_levels(&targets, level) {
                    lines.push(line("Not set: ", &error));
                } else {
                    tracing::warn!(log, level = level_name, "log level changed over HTTP");
                }
            }
        }
    }
    lines.push(line("Effective Level: ", loggers::name(logging::level_of(&targets))));
    lines
}
