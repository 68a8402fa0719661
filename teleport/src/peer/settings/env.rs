//! The environment over a configuration.

use std::ffi::OsString;

use super::{
    PeerConfig,
    keys::{Filling, KEYS, nearest},
    node::{Node, Value},
};

const PREFIX: &str = "TELEPORT_";

/// Every mistake is a line of the error.
pub(super) fn overlay(
    config: PeerConfig,
    vars: impl Iterator<Item = (OsString, OsString)>,
) -> Result<PeerConfig, String> {
    let vars = vars.filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name.strip_prefix(PREFIX)?.to_owned(), value))
    });
    let mut vars: Vec<_> = vars.collect();
    // An order that does not change from run to run.
    vars.sort();

    let mut filling = Filling::new(config);
    for (word, value) in vars {
        let name = format!("{PREFIX}{word}");
        let mut keys = KEYS.iter();
        let known = keys.find(|key| key.names().any(|known| in_capitals(known) == word));
        match (known, value.to_str()) {
            (None, _) => {
                let words = KEYS.iter().flat_map(|key| key.names()).map(in_capitals);
                if let Some(near) = nearest(&word, words) {
                    let text = format!("unknown variable `{name}`; did you mean `{PREFIX}{near}`?");
                    filling.wrong(0, text);
                }
            }
            (Some(_), None) => filling.wrong(0, format!("`{name}` is not valid UTF-8")),
            (Some(_), Some("")) => {}
            (Some(key), Some(text)) => {
                let value = Value::Text(text.trim().to_owned());
                filling.set(key, &name, 0, &Node { value, at: 0 });
            }
        }
    }
    filling.finish().map_err(|mistakes| {
        let texts: Vec<_> = mistakes.into_iter().map(|mistake| mistake.text).collect();
        texts.join("\n")
    })
}

/// What stands behind the prefix.
fn in_capitals(key: &str) -> String {
    key.to_ascii_uppercase().replace('.', "_")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn overlaid(vars: &[(&str, &str)]) -> Result<PeerConfig, String> {
        let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
        overlay(PeerConfig::default(), vars)
    }

    fn refused(vars: &[(&str, &str)]) -> String {
        overlaid(vars).expect_err("a mistake")
    }

    #[cfg(unix)]
    #[test]
    fn every_key_has_a_variable_under_both_of_its_names_which_must_be_text() {
        use std::os::unix::ffi::OsStringExt;

        for name in KEYS.iter().flat_map(|key| key.names()) {
            let name = format!("{PREFIX}{}", in_capitals(name));
            let var = (OsString::from(&name), OsString::from_vec(vec![0xff]));
            let error = overlay(PeerConfig::default(), [var].into_iter());
            let expected = format!("`{name}` is not valid UTF-8");
            assert_eq!(error.expect_err("a mistake"), expected);
        }
    }

    #[test]
    fn a_variable_sets_a_field_and_leaves_the_others() {
        let config = overlaid(&[
            ("TELEPORT_LISTEN", "0.0.0.0:9090, unix:///tmp/socket"),
            ("TELEPORT_READ_TIMEOUT", " 3m "),
            ("TELEPORT_LIMITS_PACKET", "1 MiB"),
            ("TELEPORT_GZIP", "-2"),
        ]);
        let config = config.expect("all is well");
        assert_eq!(config.listen, ["0.0.0.0:9090", "unix:///tmp/socket"]);
        assert_eq!(config.read_timeout, Some(Duration::from_secs(180)));
        assert_eq!(config.limits.packet, 1024 * 1024);
        assert_eq!(config.gzip, -2);
        assert_eq!(config.dial_timeout, PeerConfig::default().dial_timeout);
    }

    #[test]
    fn a_flag_of_the_environment_keeps_what_a_file_says_about_its_details() {
        let hidden =
            || PeerConfig::from_toml("print_bodies.hidden = ['pin']").expect("it is right");
        let over = |flag: &str| {
            let var = ("TELEPORT_PRINT_BODIES".into(), flag.into());
            overlay(hidden(), [var].into_iter()).expect("it is right")
        };
        assert_eq!(over("true").print_bodies, hidden().print_bodies);
        assert_eq!(over("false").print_bodies, None);
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        let config = overlaid(&[("TELEPORT_GZIP", ""), ("TELEPORT_LISTEN", "")]);
        assert_eq!(config.expect("all is well").gzip, 0);
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let config = overlaid(&[
            ("TELEPORT_PORT", "tcp://10.0.0.1:9090"),
            ("TELEPORT_SERVICE_HOST", "10.0.0.1"),
            ("teleport_gzip", "99"),
            ("GZIP", "-9"),
        ]);
        assert_eq!(config.expect("all is well").gzip, 0);
    }

    #[test]
    fn a_misspelt_variable_is_an_error_that_names_the_right_one() {
        assert_eq!(
            refused(&[("TELEPORT_REED_TIMEOUT", "3m")]),
            "unknown variable `TELEPORT_REED_TIMEOUT`; did you mean `TELEPORT_READ_TIMEOUT`?"
        );
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_its_variable() {
        assert_eq!(
            refused(&[("TELEPORT_READ_TIMEOUT", "3"), ("TELEPORT_GZIP", "11")]),
            "`TELEPORT_GZIP` is 11; it must be from -2 to 9\n\
             `TELEPORT_READ_TIMEOUT` is \"3\"; write a time such as \"500ms\", \"3m\" or \"1h 30m\", or \"none\""
        );
    }

    #[test]
    fn both_names_of_one_setting_are_an_error_that_names_both() {
        assert_eq!(
            refused(&[
                ("TELEPORT_LISTEN_ADDRS", "0.0.0.0:1"),
                ("TELEPORT_LISTEN", "0.0.0.0:2"),
            ]),
            "`TELEPORT_LISTEN` and `TELEPORT_LISTEN_ADDRS` are the same setting; keep one of them"
        );
    }
}
