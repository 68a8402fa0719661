//! Configurations: no text of TOML or YAML and no variable gives one with which no peer can be built, errors name a place and are no more than
//! ten, and one setting is read alike by all three ways.

use std::ffi::OsString;

use teleport::{Error, Peer, PeerConfig};

use super::input::Input;

/// A byte that says what, and the text: of a file, or lines `key=value`.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.byte();
    let Ok(text) = std::str::from_utf8(input.rest()) else {
        return;
    };
    match kind {
        b't' => file(PeerConfig::from_toml(text)),
        b'y' => file(PeerConfig::from_yaml(text)),
        _ => pairs(text),
    }
}

fn file(config: Result<PeerConfig, Error>) {
    let Err(error) = check(config) else {
        return;
    };
    for line in error.lines() {
        assert!(line.starts_with("line "), "{error}");
    }
    assert!((1..=10).contains(&error.lines().count()), "{error}");
    assert!(error.len() < 64 * 1024, "a text of {} bytes", error.len());
}

/// A configuration that was read is one that works; an error has a cause that says something.
fn check(config: Result<PeerConfig, Error>) -> Result<PeerConfig, String> {
    match config {
        Ok(config) => {
            if config.tls_cert_file.is_none()
                && config.tls_key_file.is_none()
                && config.tls_ca_file.is_none()
                && config.tls_client_ca_file.is_none()
            {
                match Peer::builder().config(config.clone()).build() {
                    Ok(_) => {}
                    // What only the build can know: which codecs there are, and that TLS has its files.
                    Err(error) => {
                        let text = format!(
                            "{error}: {:?}",
                            std::error::Error::source(&error).map(ToString::to_string)
                        );
                        assert!(text.contains("codec") || text.contains("tls"), "{text}");
                    }
                }
            }
            Ok(config)
        }
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .expect("a cause")
                .to_string();
            assert!(!cause.is_empty());
            Err(cause)
        }
    }
}

fn pairs(text: &str) {
    // YAML has no place for these, not even as escapes that are not needed.
    if text.contains(['\u{fffe}', '\u{ffff}', '\u{feff}']) {
        return;
    }
    let pairs: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .take(8)
        .collect();
    let (mut toml, mut yaml) = (String::new(), String::new());
    let mut vars = Vec::new();
    for (key, value) in &pairs {
        // What a variable says without a word about it, or as something else, is no setting of the files.
        let is_word = |char: char| char.is_ascii_lowercase() || char == '_' || char == '.';
        if key.is_empty()
            || !key.chars().all(is_word)
            || value.trim().is_empty()
            || value.trim() != *value
        {
            return;
        }
        let quoted = serde_json::to_string(value).expect("a text");
        // Of what JSON lets stand, TOML wants this escaped.
        let quoted = quoted.replace('\u{7f}', "\\u007f");
        toml.push_str(&format!("{key} = {quoted}\n"));
        yaml.push_str(&match key.split_once('.') {
            Some((section, key)) => format!("{section}:\n  {key}: {quoted}\n"),
            None => format!("{key}: {quoted}\n"),
        });
        let name = format!("TELEPORT_{}", key.to_ascii_uppercase().replace('.', "_"));
        vars.push((OsString::from(name), OsString::from(value)));
    }
    let toml = check(PeerConfig::from_toml(&toml));
    let yaml = check(PeerConfig::from_yaml(&yaml));
    let env = check(PeerConfig::default().with_vars(vars));
    if let (Ok(toml), Ok(yaml)) = (&toml, &yaml) {
        assert_eq!(format!("{toml:?}"), format!("{yaml:?}"));
    }
    let [(key, _)] = &pairs[..] else {
        return;
    };
    assert_eq!(toml.is_ok(), yaml.is_ok(), "{toml:?} {yaml:?}");
    // A variable that is unknown belongs to somebody else, and its name has no dots.
    if let Ok(toml) = &toml {
        let env = env.expect("a file takes it");
        assert_eq!(format!("{toml:?}"), format!("{env:?}"), "{key}");
    }
}
