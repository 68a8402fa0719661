//! Configurations out of files and the environment, and what is said about wrong ones.

use std::{env, error::Error as _, fs, path::PathBuf, process::Command, time::Duration};

use proptest::prelude::*;
use teleport::{BodyText, CodecId, Error, Peer, PeerConfig, protocol::HeaderCodec};

/// The table in the docs of `PeerConfig`.
const TABLE: &str = include_str!("../../teleport/src/peer/settings/keys.md");
const EXAMPLE: &str = include_str!("../../examples/teleport.toml");

fn toml(text: &str) -> PeerConfig {
    PeerConfig::from_toml(text).expect("a configuration in TOML")
}

fn yaml(text: &str) -> PeerConfig {
    PeerConfig::from_yaml(text).expect("a configuration in YAML")
}

/// What the error's source says.
fn details(error: &Error) -> String {
    error.source().expect("a cause").to_string()
}

fn toml_mistakes(text: &str) -> String {
    let error = PeerConfig::from_toml(text).expect_err("a mistake");
    assert_eq!(
        error.to_string(),
        "read TOML: the configuration is not usable"
    );
    details(&error)
}

fn yaml_mistakes(text: &str) -> String {
    let error = PeerConfig::from_yaml(text).expect_err("a mistake");
    assert_eq!(
        error.to_string(),
        "read YAML: the configuration is not usable"
    );
    details(&error)
}

/// A configuration has fields that cannot be compared; all show in its `Debug`.
fn assert_same(left: &PeerConfig, right: &PeerConfig) {
    assert_eq!(format!("{left:#?}"), format!("{right:#?}"));
}

fn file(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

/// Key, Go teleport's key, and default of every row of the table.
fn rows() -> Vec<[String; 3]> {
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let rows = TABLE.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split('|').map(cell).collect();
        Some([cells[0].clone(), cells[1].clone(), cells[3].clone()])
    });
    rows.collect()
}

#[test]
fn the_example_file_has_every_key_and_says_the_defaults() {
    assert_same(&toml(EXAMPLE), &PeerConfig::default());
    for [key, ..] in rows() {
        let last = key.rsplit('.').next().expect("a part");
        // The flag `print_bodies` and its table exclude each other: the table is a comment.
        let mut lines = EXAMPLE.lines().map(|line| line.trim_start_matches("# "));
        assert!(
            lines.any(|line| line.starts_with(&format!("{last} = "))),
            "{key}"
        );
    }
}

#[test]
fn the_table_in_the_docs_says_the_defaults_and_the_names() {
    let rows = rows();
    assert!(rows.len() >= 13, "the table is read: {rows:?}");
    for [key, seed, default] in rows {
        let mut expected = PeerConfig::default();
        if key.starts_with("print_bodies.") {
            expected.print_bodies = Some(BodyText::default());
        }
        assert_same(&yaml(&format!("{key}: {default}")), &expected);
        if !seed.is_empty() {
            assert_same(&yaml(&format!("{seed}: {default}")), &PeerConfig::default());
        }
    }
}

#[test]
fn every_key_sets_its_field_in_both_formats() {
    let in_toml = toml(
        r#"
        listen = ["0.0.0.0:9090", "tcp://[::1]:9091"]
        read_timeout = "3m"
        packet_timeout = "1m"
        write_timeout = "none"
        dial_timeout = "1h 30m"
        accept_timeout = "500ms"
        shutdown_timeout = "0s"
        header_codec = "json"
        body_codec = "protobuf"
        gzip = -1
        write_buffer = 4096
        max_handlers = 7
        session_memory = "8 MiB"
        peer_memory = "1 GB"
        announce = true
        slow_threshold = "500ms"
        tls_cert_file = "cert.pem"
        tls_key_file = "key.pem"
        tls_client_ca_file = "clients.pem"
        tls_ca_file = "/etc/servers.pem"
        limits = { packet = "1 MB", inflated = "2 MiB", sent = "1 GB" }
        print_bodies = { most = 100, hidden = ["pin", "tan"] }
        "#,
    );
    let in_yaml = yaml(
        "
        listen:
        - 0.0.0.0:9090
        - tcp://[::1]:9091
        read_timeout: 3m
        packet_timeout: 1m
        write_timeout: off
        dial_timeout: 1h 30m
        accept_timeout: 500ms
        shutdown_timeout: 0s
        header_codec: json
        body_codec: protobuf
        gzip: -1
        write_buffer: 4096
        max_handlers: 7
        session_memory: 8 MiB
        peer_memory: 1 GB
        tls_cert_file: cert.pem
        tls_key_file: key.pem
        tls_client_ca_file: clients.pem
        tls_ca_file: /etc/servers.pem
        limits:
          packet: 1 MB
          inflated: 2 MiB
          sent: 1 GB
        announce: true
        slow_threshold: 500ms
        print_bodies:
          most: 100
          hidden: pin, tan
        ",
    );
    assert_same(&in_toml, &in_yaml);
    let config = in_toml;
    assert_eq!(config.listen, ["0.0.0.0:9090", "tcp://[::1]:9091"]);
    assert_eq!(config.read_timeout, Some(Duration::from_secs(180)));
    assert_eq!(config.packet_timeout, Some(Duration::from_secs(60)));
    assert_eq!(config.session_memory, 8 << 20);
    assert_eq!(config.peer_memory, 1_000_000_000);
    assert_eq!(config.write_timeout, None);
    assert_eq!(config.dial_timeout, Some(Duration::from_secs(5400)));
    assert_eq!(config.accept_timeout, Some(Duration::from_millis(500)));
    assert_eq!(config.shutdown_timeout, Duration::ZERO);
    assert_eq!(config.header_codec, HeaderCodec::Json);
    assert_eq!(config.body_codec, CodecId::PROTOBUF);
    assert_eq!(config.gzip, -1);
    assert_eq!(config.limits.packet, 1_000_000);
    assert_eq!(config.limits.inflated, 2 * 1024 * 1024);
    assert_eq!(config.limits.sent, 1_000_000_000);
    assert_eq!(config.write_buffer, 4096);
    assert_eq!(config.max_handlers, 7);
    assert!(config.announce);
    assert_eq!(config.slow_threshold, Some(Duration::from_millis(500)));
    let text = config.print_bodies.expect("a text");
    assert_eq!(text.most, 100);
    assert_eq!(text.hidden, ["pin", "tan"]);
    assert_eq!(config.tls_cert_file, Some("cert.pem".into()));
    assert_eq!(config.tls_key_file, Some("key.pem".into()));
    assert_eq!(config.tls_client_ca_file, Some("clients.pem".into()));
    assert_eq!(config.tls_ca_file, Some("/etc/servers.pem".into()));
}

#[test]
fn the_keys_of_go_teleport_are_taken_and_its_empty_values_are_the_defaults() {
    let config = yaml(
        "
        default_read_timeout: 3m0s
        default_write_timeout: 0s
        tls_cert_file: \"\"
        tls_key_file:
        default_header_codec: \"\"
        default_body_codec: string
        default_body_gzip_level: 5
        default_dial_timeout: 10s
        slow_comet_duration: 500ms
        print_body: true
        listen_addrs:
        - 0.0.0.0:9090
        - 0.0.0.0:9091
        ",
    );
    assert_eq!(config.read_timeout, Some(Duration::from_secs(180)));
    assert_eq!(config.write_timeout, None);
    assert_eq!(config.header_codec, HeaderCodec::Protobuf);
    assert_eq!(config.body_codec, CodecId::STRING);
    assert_eq!(config.gzip, 5);
    assert_eq!(config.dial_timeout, Some(Duration::from_secs(10)));
    assert_eq!(config.slow_threshold, Some(Duration::from_millis(500)));
    assert_eq!(config.print_bodies, Some(BodyText::default()));
    assert_eq!(config.listen, ["0.0.0.0:9090", "0.0.0.0:9091"]);
    assert_eq!(config.tls_cert_file, None);
    assert_eq!(config.tls_key_file, None);

    assert_same(&yaml("listen_addrs:"), &PeerConfig::default());
    assert_eq!(
        yaml_mistakes("listen:"),
        "line 1, column 7: `listen` is empty; write a list of addresses, such as [\"0.0.0.0:9090\"]"
    );
}

#[test]
fn nothing_in_a_file_is_nothing_changed() {
    for text in ["", "# nothing\n", "\u{feff}"] {
        assert_same(&toml(text), &PeerConfig::default());
        assert_same(&yaml(text), &PeerConfig::default());
    }
    assert_same(&yaml("---\n...\n"), &PeerConfig::default());
}

#[test]
fn a_codec_of_ones_own_is_named_by_its_byte_and_must_be_there_when_the_peer_is_built() {
    let config = toml("body_codec = 'J'");
    assert_eq!(config.body_codec.as_byte(), b'J');
    let error = Peer::builder()
        .config(config)
        .build()
        .expect_err("not there");
    assert_eq!(
        details(&error),
        "`body_codec` is `J`, which no codec has; add one with `PeerBuilder::codec`"
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_eq!(
        toml_mistakes("gzip = 1\nreed_timeout = '3m'"),
        "line 2, column 1: unknown key `reed_timeout`; did you mean `read_timeout`?"
    );
    assert_eq!(
        yaml_mistakes("gzip: 1\ndefault-dial-timeout: 3m"),
        "line 2, column 1: unknown key `default-dial-timeout`; did you mean `default_dial_timeout`?"
    );
    assert_eq!(
        toml_mistakes("[limits]\npackets = 1"),
        "line 2, column 1: unknown key `limits.packets`; did you mean `limits.packet`?"
    );
    let names: Vec<_> = rows().into_iter().map(|[name, ..]| name).collect();
    assert_eq!(
        yaml_mistakes("colour: green"),
        format!(
            "line 1, column 1: unknown key `colour`; known are {}",
            names.join(", ")
        )
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_what_is_allowed() {
    let cases = [
        (
            "read_timeout = 3",
            "line 1, column 16: `read_timeout` is 3; write a time such as \"500ms\", \"3m\" or \"1h 30m\", or \"none\"",
        ),
        (
            "read_timeout = '3x'",
            "line 1, column 16: `read_timeout` is \"3x\"; write a time such as \"500ms\", \"3m\" or \"1h 30m\", or \"none\"",
        ),
        (
            "shutdown_timeout = 'none'",
            "line 1, column 20: `shutdown_timeout` is \"none\"; write a time such as \"500ms\", \"3m\" or \"1h 30m\"",
        ),
        (
            "gzip = true",
            "line 1, column 8: `gzip` is true; write a whole number",
        ),
        (
            "gzip = 1.5",
            "line 1, column 8: `gzip` is 1.5; write a whole number",
        ),
        (
            "max_handlers = -1",
            "line 1, column 16: `max_handlers` is -1; write a whole number",
        ),
        (
            "max_handlers = []",
            "line 1, column 16: `max_handlers` is a list; write a whole number",
        ),
        (
            "write_buffer = 1979-05-27",
            "line 1, column 16: `write_buffer` is 1979-05-27; write a size such as \"64 MiB\", \"1 MB\" or a number of bytes",
        ),
        (
            "write_buffer = '1 mile'",
            "line 1, column 16: `write_buffer` is \"1 mile\"; write a size such as \"64 MiB\", \"1 MB\" or a number of bytes",
        ),
        (
            "header_codec = 'string'",
            "line 1, column 16: `header_codec` is \"string\"; it must be \"json\" or \"protobuf\"",
        ),
        (
            "body_codec = 'xml'",
            "line 1, column 14: `body_codec` is \"xml\"; it must be \"json\", \"protobuf\", \"string\" or the one-byte id of a codec of your own",
        ),
        (
            "[gzip]\nlevel = 1",
            "line 1, column 1: `gzip` is a table; write a whole number",
        ),
        (
            "announce = 1",
            "line 1, column 12: `announce` is 1; it must be true or false",
        ),
        (
            "print_bodies.hidden = [1]",
            "line 1, column 24: `print_bodies.hidden` has 1; write a list of texts, such as [\"password\"]",
        ),
        (
            "limits = 5",
            "line 1, column 10: `limits` is 5; it must be a table",
        ),
        (
            "listen = 9090",
            "line 1, column 10: `listen` is 9090; write a list of addresses, such as [\"0.0.0.0:9090\"]",
        ),
        (
            "listen = [\n '[::]:1',\n 9090\n]",
            "line 3, column 2: `listen` has 9090; write a list of addresses, such as [\"0.0.0.0:9090\"]",
        ),
        ("gzip = 'a\\nb\u{1}'", "line 1, column 13: not valid TOML: "),
    ];
    for (text, expected) in cases {
        let said = toml_mistakes(text);
        match expected.ends_with(": ") {
            true => assert!(said.starts_with(expected), "{said}"),
            false => assert_eq!(said, expected),
        }
    }
}

#[test]
fn a_value_out_of_bounds_is_refused_with_the_bounds() {
    let cases = [
        (
            "gzip: 10",
            "line 1, column 7: `gzip` is 10; it must be from -2 to 9",
        ),
        (
            "default_body_gzip_level: -3",
            "line 1, column 26: `default_body_gzip_level` is -3; it must be from -2 to 9",
        ),
        (
            "limits: {packet: 0}",
            "line 1, column 18: `limits.packet` is 0; it must be at least 1",
        ),
        (
            "limits:\n  inflated: 0 MiB",
            "line 2, column 13: `limits.inflated` is 0; it must be at least 1",
        ),
        (
            "write_buffer: 0",
            "line 1, column 15: `write_buffer` is 0; it must be at least 1",
        ),
        (
            "max_handlers: 0",
            "line 1, column 15: `max_handlers` is 0; it must be at least 1",
        ),
        (
            "dial_timeout: 31 days",
            "line 1, column 15: `dial_timeout` is 2678400s; it must be at most 30 days",
        ),
        (
            "shutdown_timeout: 1 year",
            "line 1, column 19: `shutdown_timeout` is 31557600s; it must be at most 30 days",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(yaml_mistakes(text), expected);
    }
}

#[test]
fn a_bad_address_is_refused_at_its_own_line() {
    let cases = [
        (
            "ws://host:1",
            "`ws://` is not a transport; write host:port, tcp://host:port, tls://host:port or unix:///path",
        ),
        (
            "localhost",
            "it has no port; write host:port, tcp://host:port, tls://host:port or unix:///path",
        ),
        (
            ":9090",
            "it has no host, which is 0.0.0.0 or [::] for all; write host:port, tcp://host:port, tls://host:port or unix:///path",
        ),
        (
            "tcp://host:http",
            "its port is no number up to 65535; write host:port, tcp://host:port, tls://host:port or unix:///path",
        ),
        (
            "::1:9090",
            "an IPv6 address needs brackets, as in [::1]:9090; write host:port, tcp://host:port, tls://host:port or unix:///path",
        ),
    ];
    for (address, expected) in cases {
        let text = format!("listen:\n- 0.0.0.0:9090\n- '{address}'\n");
        let expected = format!("line 3, column 3: `listen` has \"{address}\"; {expected}");
        assert_eq!(yaml_mistakes(&text), expected);
    }
}

#[test]
fn a_key_that_is_given_twice_is_refused_also_under_its_two_names() {
    let twice = "line 2, column 1: `gzip` is given twice; keep one of them";
    assert_eq!(toml_mistakes("gzip = 1\ngzip = 2"), twice);
    assert_eq!(yaml_mistakes("gzip: 1\ngzip: 2"), twice);
    assert_eq!(
        yaml_mistakes("limits.packet: 1\nlimits: {packet: 2}"),
        "line 2, column 10: `limits.packet` is given twice; keep one of them"
    );
    let both = "line 3, column 1: `read_timeout` and `default_read_timeout` are the same setting; keep one of them";
    assert_eq!(
        toml_mistakes("read_timeout = '1s'\ngzip = 1\ndefault_read_timeout = '1s'"),
        both
    );
    assert_eq!(
        yaml_mistakes("read_timeout: 1s\ngzip: 1\ndefault_read_timeout: 1s"),
        both
    );
}

#[test]
fn all_mistakes_are_told_in_their_order_up_to_ten() {
    assert_eq!(
        toml_mistakes("gzip = 12\nlisten = ['a']\ncolor = 1\n[limits]\npacket = 0")
            .lines()
            .count(),
        4
    );
    let many: String = (0..100).map(|number| format!("key{number}: 1\n")).collect();
    let said = yaml_mistakes(&many);
    assert_eq!(said.lines().count(), 10);
    assert!(
        said.starts_with("line 1, column 1: unknown key `key0`"),
        "{said}"
    );
}

#[test]
fn what_is_no_toml_or_yaml_is_refused_with_its_line() {
    let said = toml_mistakes("gzip = 1\nlisten = [");
    assert!(said.starts_with("line 2, column "), "{said}");
    assert!(said.contains(": not valid TOML: "), "{said}");
    let said = yaml_mistakes("gzip: 1\nlisten: [");
    assert!(
        said.starts_with("line 2, column ") || said.starts_with("line 3, column "),
        "{said}"
    );
    assert!(said.contains(": not valid YAML: "), "{said}");
}

#[test]
fn yaml_that_no_configuration_needs_is_refused() {
    let not_read = "anchors, aliases and tags are not read; write the value itself";
    let cases = [
        ("gzip: &level 1", not_read, 14),
        ("gzip: !!int 1", not_read, 13),
        (
            "gzip: 1\n---\ngzip: 2",
            "a second document begins; keep one",
            1,
        ),
        (
            "- gzip",
            "the document is a list; it must be a map of keys",
            1,
        ),
        (
            "gzip",
            "the document is \"gzip\"; it must be a map of keys",
            1,
        ),
        ("[1]: 2", "a key is a list; it must be a word", 1),
    ];
    for (text, expected, column) in cases {
        let said = yaml_mistakes(text);
        let line = if text.contains("---") { 3 } else { 1 };
        assert_eq!(said, format!("line {line}, column {column}: {expected}"));
    }
}

#[test]
fn a_message_shows_hostile_text_on_one_line_and_cut_short() {
    let said = yaml_mistakes(&format!("\"a\\nb\": 1\ngzip: {}", "x".repeat(10_000)));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("unknown key `a\\nb`"), "{said}");
    assert!(lines[1].len() < 200, "{said}");
}

#[test]
fn the_ending_of_a_file_tells_its_format() {
    for (name, text) in [
        ("a.toml", "gzip = 3"),
        ("a.yaml", "gzip: 3"),
        ("a.YML", "gzip: 3"),
    ] {
        let config = PeerConfig::from_file(file(name, text)).expect("a configuration");
        assert_eq!(config.gzip, 3, "{name}");
    }
    let error = PeerConfig::from_file("teleport.conf").expect_err("which format?");
    assert_eq!(
        error.to_string(),
        "read teleport.conf: the configuration is not usable"
    );
    assert_eq!(details(&error), "its name must end in .toml, .yaml or .yml");
}

#[test]
fn an_error_names_the_file() {
    let path = file("wrong.toml", "\n\ngzip = 12");
    let error = PeerConfig::load(&path).expect_err("a mistake");
    let expected = format!("read {}: the configuration is not usable", path.display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(
        details(&error),
        "line 3, column 8: `gzip` is 12; it must be from -2 to 9"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let error = PeerConfig::from_file("/nowhere/teleport.toml").expect_err("no file");
    let cause = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(
        cause.expect("from the system").kind(),
        std::io::ErrorKind::NotFound
    );

    let error = PeerConfig::from_file(file("bytes.toml", b"gzip = \xff")).expect_err("no text");
    assert_eq!(
        details(&error),
        "invalid utf-8 sequence of 1 bytes from index 7"
    );

    // The first mebibyte ends within a character.
    let large = format!("# {}", "é".repeat(600_000));
    let too_large = "it has more than 1 MiB, which no configuration needs";
    let error = PeerConfig::from_file(file("large.toml", &large)).expect_err("too large");
    assert_eq!(details(&error), too_large);
    assert_eq!(toml_mistakes(&large), too_large);
}

/// Starts itself with variables, as those of the process cannot be changed safely.
#[test]
fn the_environment_goes_before_the_file_which_goes_before_the_defaults() {
    let test = "the_environment_goes_before_the_file_which_goes_before_the_defaults";
    let path = file("layers.toml", "gzip = 3\nread_timeout = '5s'");
    if env::var_os("TELEPORT_GZIP").is_some() {
        let config = PeerConfig::load(&path).expect("a configuration");
        assert_eq!(config.gzip, 7);
        assert_eq!(config.read_timeout, Some(Duration::from_secs(5)));
        assert_eq!(config.write_timeout, PeerConfig::default().write_timeout);
        assert_eq!(config.listen, ["0.0.0.0:9090", "0.0.0.0:9091"]);
        return;
    }
    let run = |gzip| {
        let mut command = Command::new(env::current_exe().expect("this"));
        command
            .args(["--exact", test, "--nocapture"])
            .env("TELEPORT_GZIP", gzip);
        command.env("TELEPORT_LISTEN", "0.0.0.0:9090,0.0.0.0:9091");
        command.output().expect("it runs")
    };
    let output = run("7");
    assert!(output.status.success(), "{output:?}");
    let output = run("70");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("`TELEPORT_GZIP` is 70; it must be from -2 to 9"),
        "{said}"
    );
}

#[test]
fn a_configuration_made_in_code_is_checked_by_the_same_rules() {
    let config = PeerConfig {
        listen: vec!["ws://host:1".into()],
        read_timeout: Some(Duration::ZERO),
        write_timeout: Some(Duration::MAX),
        gzip: 10,
        write_buffer: 0,
        ..PeerConfig::default()
    };
    let error = Peer::builder()
        .config(config)
        .build()
        .expect_err("mistakes");
    assert_eq!(
        error.to_string(),
        "build the peer: the configuration is not usable"
    );
    assert_eq!(
        details(&error),
        "`listen` has \"ws://host:1\"; `ws://` is not a transport; write host:port, tcp://host:port, tls://host:port or unix:///path\n\
         `read_timeout` is zero, which leaves no time; `None` is no limit\n\
         `write_timeout` is 18446744073709551615.999999999s; it must be at most 30 days\n\
         `gzip` is 10; it must be from -2 to 9\n\
         `write_buffer` is 0; it must be at least 1"
    );
}

#[test]
fn deep_and_large_texts_end_in_an_error_soon() {
    let deep = 100_000;
    let texts = [
        format!("gzip = {}", "[".repeat(deep)),
        format!("gzip = {}", "{a=".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
        "[[a]]\n".repeat(deep),
        "[".repeat(deep),
    ];
    for text in texts {
        PeerConfig::from_toml(&text).expect_err("too deep");
    }
    let texts = [
        "[".repeat(deep),
        "{a: ".repeat(deep),
        "- ".repeat(deep),
        "? ".repeat(deep),
        (0..1000)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect(),
        "&a ".repeat(deep),
        "!a ".repeat(deep),
        (0..50_000).map(|key| format!("a{key}: 1\n")).collect(),
        "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]".to_owned(),
        format!("listen: [{}]", "1, ".repeat(deep)),
        "\"".repeat(deep),
        "'".repeat(deep + 1),
        format!("\"{}", "\\".repeat(deep)),
        format!("gzip: |\n{}", " \n".repeat(deep)),
    ];
    for text in texts {
        PeerConfig::from_yaml(&text).expect_err("too deep");
    }
}

/// Pieces of which wrong configurations are made.
const PIECES: &[&str] = &[
    "listen",
    "read_timeout",
    "gzip",
    "limits",
    "packet",
    ".",
    " ",
    "\n",
    "\n  ",
    ": ",
    " = ",
    "=",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "]]",
    "\"",
    "'",
    "'''",
    "\"\"\"",
    "|",
    ">",
    "#",
    "&a",
    "*a",
    "!!int",
    "?",
    "---",
    "...",
    "\\",
    "\\u",
    "%YAML 1.2",
    "\u{feff}",
    "\t",
    "\r\n",
    "none",
    "3m",
    "1 MiB",
    "-2",
    "99999999999999999999",
    "0x7f",
    "1e400",
    "1979-05-27T07:32:00Z",
    "18446744073709551615s",
    "é",
    "\u{0}",
    ",",
    "~",
    "true",
    "0.0.0.0:1",
    "ws://",
    "<<",
];

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error_and_never_a_panic(text: String) {
        let _ = PeerConfig::from_toml(&text);
        let _ = PeerConfig::from_yaml(&text);
    }

    #[test]
    fn any_pieces_are_a_configuration_or_an_error_and_never_a_panic(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40),
    ) {
        let text = pieces.concat();
        let _ = PeerConfig::from_toml(&text);
        let _ = PeerConfig::from_yaml(&text);
    }

    #[test]
    fn any_value_of_any_key_is_taken_or_refused(key in proptest::sample::select(rows()), value: String) {
        let value = format!("{value:?}");
        let toml = PeerConfig::from_toml(&format!("{} = {value}", key[0]));
        if let Ok(config) = toml {
            // Whether the codec and the files are there is not seen before.
            let later = key[0] == "body_codec" || key[0].ends_with("_file");
            prop_assert!(Peer::builder().config(config).build().is_ok() || later);
        }
    }
}
