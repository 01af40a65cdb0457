//! `proto/` against `golden/messages.json`: every message, field, label, type, default and enum.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Numbers of fields that only our own log entries have; Java keeps them as unknown fields.
const OURS_FROM: i32 = 1000;

/// A line per fact, so that a difference reads as a line.
fn facts_of_file(file: &FileDescriptorProto) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    facts.insert(format!("syntax {}", file.syntax.as_deref().unwrap_or("proto2")));
    for message in &file.message_type {
        facts_of_message("", message, &mut facts);
    }
    for e in &file.enum_type {
        facts_of_enum("", e, &mut facts);
    }
    for service in &file.service {
        for m in &service.method {
            facts.insert(format!(
                "service {} {} {}->{} {} {}",
                service.name(),
                m.name(),
                m.input_type().trim_start_matches('.'),
                m.output_type().trim_start_matches('.'),
                m.client_streaming(),
                m.server_streaming()
            ));
        }
    }
    facts
}

fn facts_of_message(scope: &str, message: &DescriptorProto, facts: &mut BTreeSet<String>) {
    let name = format!("{scope}{}", message.name());
    facts.insert(format!("message {name}"));
    for field in message.field.iter().filter(|field| field.number() < OURS_FROM) {
        let kind = match field.r#type() {
            Type::Bytes => "bytes",
            Type::Message => "message",
            Type::Int32 => "int32",
            Type::Enum => "enum",
            Type::Int64 => "int64",
            Type::Uint32 => "uint32",
            Type::Uint64 => "uint64",
            Type::Sint32 => "sint32",
            Type::Double => "double",
            Type::Bool => "bool",
            Type::String => "string",
            other => panic!("{name}.{} has a type that nothing uses: {other:?}", field.name()),
        };
        let label = match field.label() {
            Label::Optional => "optional",
            Label::Required => "required",
            Label::Repeated => "repeated",
        };
        let oneof = match field.oneof_index {
            Some(index) if !field.proto3_optional() => message.oneof_decl[index as usize].name(),
            _ => "",
        };
        facts.insert(format!(
            "field {name}.{} = {} {label} {kind} {} {} {oneof} {}",
            field.name(),
            field.number(),
            field.type_name().trim_start_matches('.'),
            field.default_value.as_deref().unwrap_or("-"),
            field.proto3_optional(),
        ));
    }
    for nested in &message.nested_type {
        facts_of_message(&format!("{name}."), nested, facts);
    }
    for e in &message.enum_type {
        facts_of_enum(&format!("{name}."), e, facts);
    }
}

fn facts_of_enum(scope: &str, e: &EnumDescriptorProto, facts: &mut BTreeSet<String>) {
    for value in &e.value {
        facts.insert(format!("enum {scope}{} {} = {}", e.name(), value.name(), value.number()));
    }
}

fn facts_of_golden(file: &Value) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    facts.insert(format!("syntax {}", file["syntax"].as_str().unwrap()));
    for (name, message) in file["messages"].as_object().unwrap() {
        facts.insert(format!("message {name}"));
        for field in message["fields"].as_array().unwrap() {
            let options = &field[6];
            let default = match &field[5] {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            facts.insert(format!(
                "field {name}.{} = {} {} {} {} {default} {} {}",
                field[1].as_str().unwrap(),
                field[0],
                field[2].as_str().unwrap(),
                field[3].as_str().unwrap(),
                field[4].as_str().unwrap_or_default(),
                options["oneof"].as_str().unwrap_or_default(),
                options["proto3Optional"].as_bool().unwrap_or(false),
            ));
        }
    }
    for (name, values) in file["enums"].as_object().into_iter().flatten() {
        for value in values.as_array().unwrap() {
            facts.insert(format!("enum {name} {} = {}", value[0].as_str().unwrap(), value[1]));
        }
    }
    for (name, methods) in file["services"].as_object().into_iter().flatten() {
        for m in methods.as_array().unwrap() {
            facts.insert(format!(
                "service {name} {} {}->{} {} {}",
                m["method"].as_str().unwrap(),
                m["input"].as_str().unwrap(),
                m["output"].as_str().unwrap(),
                m["clientStreaming"],
                m["serverStreaming"]
            ));
        }
    }
    facts
}

#[test]
fn every_message_field_and_enum_is_that_of_the_genuine_system() {
    let golden = std::fs::read_to_string(root().join("golden/messages.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let mut compared = BTreeMap::new();
    for file in golden["files"].as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        let set = protox::compile([name], [root().join("proto")]).unwrap();
        let ours = set.file.iter().find(|f| f.name() == name).unwrap();
        assert_eq!(ours.package(), file["package"].as_str().unwrap(), "package of {name}");

        let (ours, golden) = (facts_of_file(ours), facts_of_golden(file));
        let missing: Vec<_> = golden.difference(&ours).collect();
        let surplus: Vec<_> = ours.difference(&golden).collect();
        assert!(missing.is_empty() && surplus.is_empty(), "{name}:\n-{missing:#?}\n+{surplus:#?}");
        compared.insert(name.to_owned(), golden.len());
    }
    assert_eq!(compared.len(), std::fs::read_dir(root().join("proto")).unwrap().count());
    assert!(compared.values().sum::<usize>() > 2500, "{compared:?}");
}
