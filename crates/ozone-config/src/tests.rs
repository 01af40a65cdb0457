use std::fs;

use super::*;

fn conf(pairs: &[(&str, &str)]) -> Configuration {
    let mut conf = Configuration::default();
    for (key, value) in pairs {
        conf.set(*key, *value);
    }
    conf
}

#[test]
fn durations_and_sizes_carry_units() {
    let conf = conf(&[("a", "30s"), ("b", "1500"), ("c", "2 h"), ("d", "5GB"), ("e", "16 kb")]);
    let second = Duration::from_secs(1);
    assert_eq!(conf.duration("a", second, Unit::Milliseconds).unwrap().as_secs(), 30);
    assert_eq!(conf.duration("b", second, Unit::Milliseconds).unwrap().as_millis(), 1500);
    assert_eq!(conf.duration("c", second, Unit::Seconds).unwrap().as_secs(), 7200);
    assert_eq!(conf.duration("none", second, Unit::Seconds).unwrap(), second);
    assert_eq!(conf.size("d", 0).unwrap(), 5 << 30);
    assert_eq!(conf.size("e", 0).unwrap(), 16 << 10);
    assert_eq!(value::size("1.5GB"), Some(3 << 29));
}

#[test]
fn a_malformed_value_names_key_value_and_what_is_accepted() {
    let conf = conf(&[("hdds.heartbeat.interval", "30 parsecs")]);
    let error = conf.duration("hdds.heartbeat.interval", Duration::ZERO, Unit::Seconds);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("hdds.heartbeat.interval = \"30 parsecs\""), "{text}");
    assert!(text.contains("30s"), "{text}");
    assert!(conf.integer::<u16>("hdds.heartbeat.interval", 1).is_err());
}

#[test]
fn integers_are_decimal_or_hexadecimal_and_must_fit() {
    assert_eq!(value::integer::<i32>("-7"), Some(-7));
    assert_eq!(value::integer::<u16>("0xff"), Some(255));
    assert_eq!(value::integer::<u16>("70000"), None);
    assert_eq!(value::integer::<i32>("+7"), None);
    assert_eq!(value::integer::<i32>(""), None);
}

#[test]
fn references_expand_and_loops_are_refused() {
    let conf = conf(&[
        ("base", "/data"),
        ("dir", "${base}/om"),
        ("nested", "${${which}}/x"),
        ("which", "base"),
        ("open", "${no.such.key}/y"),
        ("loop", "${loop}z"),
        ("env", "${env.NO_SUCH_VARIABLE_HERE:-fallback}"),
    ]);
    assert_eq!(conf.string("dir", "").unwrap(), "/data/om");
    assert_eq!(conf.string("nested", "").unwrap(), "/data/x");
    assert_eq!(conf.string("open", "").unwrap(), "${no.such.key}/y");
    assert_eq!(conf.string("env", "").unwrap(), "fallback");
    assert!(matches!(conf.get("loop"), Err(ConfigError::Loop { .. })));
}

#[test]
fn files_are_read_and_the_command_line_wins() {
    let dir = tempfile::tempdir().unwrap();
    let site = "<configuration>
        <property><name> ozone.om.address </name><value>host:1</value></property>
        <property><name>ozone.replication</name><value>1</value><final>true</final></property>
        </configuration>";
    fs::write(dir.path().join("ozone-site.xml"), site).unwrap();
    let sources = Sources {
        directory: Some(dir.path().to_owned()),
        files: Vec::new(),
        overrides: vec!["ozone.om.address=host:2".to_owned()],
    };
    let conf = Configuration::load(&sources).unwrap();
    assert_eq!(conf.string("ozone.om.address", "").unwrap(), "host:2");
    assert_eq!(conf.integer("ozone.replication", 3).unwrap(), 1);

    fs::write(dir.path().join("ozone-site.xml"), "<configuration><property>").unwrap();
    let text = Configuration::load(&sources).unwrap_err().to_string();
    assert!(text.contains("ozone-site.xml"), "{text}");
    let nowhere = Sources { directory: Some("/no/such/dir".into()), ..Sources::default() };
    assert!(matches!(Configuration::load(&nowhere), Err(ConfigError::NoDirectory(_))));
}

#[test]
fn a_misspelt_key_is_reported_with_what_was_meant() {
    let conf = conf(&[
        ("ozone.scm.block.sise", "1MB"),
        ("ozone.scm.block.size", "1MB"),
        ("ozone.scm.block.size.service.node1", "1MB"),
        ("fs.defaultFS", "x"),
    ]);
    let unknown = conf.unknown_keys();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!(unknown[0].meant, Some("ozone.scm.block.size"));
}
