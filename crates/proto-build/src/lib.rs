//! Generates Rust from the files in `proto/` without protoc.
//!
//! A crate that holds messages names its files, the messages that are envelopes, the services that
//! travel over gRPC and where messages of other crates live; `protox` parses, `prost` and `tonic`
//! generate. The generated module tree is `messages.rs` in the crate's `OUT_DIR` (or [`Messages::folder`] of it).

use std::error::Error;
use std::path::Path;

use prost_types::field_descriptor_proto::{Label, Type};

/// What one crate generates.
#[derive(Default)]
pub struct Messages<'a> {
    /// Folder below `OUT_DIR`; empty for `OUT_DIR` itself. For files that define a name twice.
    pub folder: &'a str,
    /// Files in `proto/` whose messages belong to the crate.
    pub files: &'a [&'a str],
    /// Messages with one optional field per command. Those fields are boxed: an envelope then
    /// weighs some hundred bytes instead of the sum of all commands.
    pub envelopes: &'a [&'a str],
    /// Services that travel over gRPC; the others go over Hadoop RPC, which needs no stubs.
    pub grpc: &'a [&'a str],
    /// Where the messages of other packages live, e.g. `(".hadoop.hdds", "::hdds_proto::hdds")`.
    pub elsewhere: &'a [(&'a str, &'a str)],
}

impl Messages<'_> {
    /// Generates `messages.rs`.
    ///
    /// # Errors
    /// A file does not parse, or an envelope does not exist.
    pub fn generate(&self) -> Result<(), Box<dyn Error>> {
        // Of the crate that is built, now: clones that share a target directory share this library.
        let proto = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
        println!("cargo::rerun-if-changed={}", proto.display());
        let mut set = protox::compile(self.files, [&proto])?;
        for file in &mut set.file {
            file.service.retain(|service| self.grpc.contains(&service.name()));
        }

        let mut config = prost_build::Config::new();
        let out = Path::new(&std::env::var("OUT_DIR")?).join(self.folder);
        std::fs::create_dir_all(&out)?;
        config.bytes(["."]).include_file("messages.rs");
        // Nothing here is documented by its proto file.
        config.disable_comments(["."]);
        for (package, path) in self.elsewhere {
            config.extern_path(*package, *path);
        }
        for envelope in self.envelopes {
            let mut fields = 0;
            for file in &set.file {
                for message in file.message_type.iter().filter(|m| m.name() == *envelope) {
                    for field in &message.field {
                        let boxable = field.r#type() == Type::Message
                            && field.label() != Label::Repeated
                            && field.oneof_index.is_none();
                        if boxable {
                            let package = file.package();
                            config.boxed(format!(".{package}.{envelope}.{}", field.name()));
                            fields += 1;
                        }
                    }
                }
            }
            if fields == 0 {
                return Err(format!("no envelope {envelope} in {:?}", self.files).into());
            }
        }
        tonic_prost_build::configure().out_dir(out).compile_fds_with_config(set, config)?;
        Ok(())
    }
}
