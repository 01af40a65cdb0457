//! Every option of the Java tool is known here, by all its names and with its default.

use clap::{Arg, CommandFactory, Parser};
use freon::FreonArgs;

/// Command, names, `flag` or `value`, default.
const GENUINE: &str = include_str!("../../../golden/freon-options.tsv");
/// `-F` is only heeded when it is given; its default is that of the server.
const DEFAULT_IS_THE_SERVERS: &str = "--factor";

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    freon: FreonArgs,
}

fn names(option: &Arg) -> Vec<String> {
    let long = option.get_long().into_iter().chain(option.get_all_aliases().unwrap_or_default());
    let short = option.get_short().into_iter();
    long.map(|name| format!("--{name}")).chain(short.map(|name| format!("-{name}"))).collect()
}

fn default(option: &Arg) -> String {
    let values = option.get_default_values().iter();
    values.filter_map(|value| value.to_str()).collect()
}

#[test]
fn every_option_of_the_java_tool_is_known_with_its_default() {
    let program = Program::command();
    let mut wrong = Vec::new();
    for line in GENUINE.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [command, wanted, kind, wanted_default] = fields[..] else { panic!("{line:?}") };
        let command = program.find_subcommand(command).unwrap_or_else(|| panic!("no {command}"));
        let first = wanted.split(' ').next_back().unwrap();
        let found = command.get_arguments().find(|option| names(option).iter().any(|n| n == first));
        let Some(option) = found else {
            wrong.push(format!("{line:?}: missing"));
            continue;
        };
        for name in wanted.split(' ').filter(|name| !names(option).iter().any(|n| n == name)) {
            wrong.push(format!("{line:?}: {name} is missing"));
        }
        let takes_value = option.get_action().takes_values();
        if takes_value != (kind == "value") {
            wrong.push(format!("{line:?}: takes a value: {takes_value}"));
        }
        let heeded = takes_value && !wanted.contains(DEFAULT_IS_THE_SERVERS);
        if heeded && default(option) != wanted_default {
            wrong.push(format!("{line:?}: the default is {:?}", default(option)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
