//! Files and overrides into a [`Configuration`].

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

use crate::{ConfigError, Configuration, Entry, Source};

/// Files read from the configuration directory; a later one overrides, except what is final.
const FILES: [&str; 2] = ["core-site.xml", "ozone-site.xml"];
/// How deep `<include href="…"/>` may nest.
const INCLUDE_DEPTH_MAX: usize = 8;

/// Where a process takes its configuration from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config DIR`. Else `OZONE_CONF_DIR`, else `$OZONE_HOME/etc/hadoop` if it exists.
    pub directory: Option<PathBuf>,
    /// More files, in order, each on top of what comes before (`-conf`).
    pub files: Vec<PathBuf>,
    /// `-D key=value`, in order.
    pub overrides: Vec<String>,
}

impl Sources {
    /// The directory that will be read. A directory that was named must exist.
    ///
    /// # Errors
    /// It does not.
    pub fn directory(&self) -> Result<Option<PathBuf>, ConfigError> {
        let named = self.directory.clone().or_else(|| {
            env::var_os("OZONE_CONF_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from)
        });
        if let Some(dir) = named {
            return if dir.is_dir() { Ok(Some(dir)) } else { Err(ConfigError::NoDirectory(dir)) };
        }
        let home = env::var_os("OZONE_HOME").map(|home| Path::new(&home).join("etc/hadoop"));
        Ok(home.filter(|dir| dir.is_dir()))
    }
}

pub fn load(sources: &Sources) -> Result<Configuration, ConfigError> {
    let mut conf = Configuration::default();
    if let Some(directory) = sources.directory()? {
        for file in FILES {
            let path = directory.join(file);
            if path.exists() {
                read(&path, &mut conf, 0)?;
            }
        }
    }
    for path in &sources.files {
        read(path, &mut conf, 0)?;
    }
    for text in &sources.overrides {
        let (key, value) =
            text.split_once('=').ok_or_else(|| ConfigError::Override(text.clone()))?;
        let entry = Entry { raw: value.to_owned(), source: Source::CommandLine, is_final: true };
        conf.entries.insert(key.trim().to_owned(), entry);
    }
    Ok(conf)
}

fn read(path: &Path, conf: &mut Configuration, depth: usize) -> Result<(), ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let wrong = |message: String| ConfigError::Xml { path: path.to_owned(), message };
    // DTDs are refused by roxmltree unless allowed: no entity expansion from a site file.
    let document = Document::parse(&text).map_err(|e| wrong(format!("not well-formed: {e}")))?;
    let root = document.root_element();
    if root.tag_name().name() != "configuration" {
        return Err(wrong("the root element is not <configuration>".to_owned()));
    }
    for node in root.children().filter(Node::is_element) {
        match node.tag_name().name() {
            "property" => property(node, path, conf).map_err(wrong)?,
            "include" => {
                let href = node
                    .attribute("href")
                    .ok_or_else(|| wrong("an <include> has no href".to_owned()))?;
                if depth == INCLUDE_DEPTH_MAX {
                    return Err(wrong(format!("includes nest more than {depth} deep at {href}")));
                }
                let target = path.parent().unwrap_or(Path::new(".")).join(href);
                read(&target, conf, depth + 1)?;
            }
            other => return Err(wrong(format!("<{other}> is neither <property> nor <include>"))),
        }
    }
    Ok(())
}

fn property(node: Node<'_, '_>, path: &Path, conf: &mut Configuration) -> Result<(), String> {
    let child = |name: &str| {
        node.children()
            .find(|child| child.tag_name().name() == name)
            .map(|child| child.text().unwrap_or_default().to_owned())
            .or_else(|| node.attribute(name).map(str::to_owned))
    };
    let position = node.document().text_pos_at(node.range().start);
    let name = child("name").ok_or_else(|| format!("{position}: a <property> has no <name>"))?;
    let Some(value) = child("value") else { return Ok(()) };
    let entry = Entry {
        raw: value,
        source: Source::File(path.to_owned()),
        is_final: child("final").is_some_and(|text| text.trim() == "true"),
    };
    let key = name.trim().to_owned();
    if !conf.entries.get(&key).is_some_and(|earlier| earlier.is_final) {
        conf.entries.insert(key, entry);
    }
    Ok(())
}
