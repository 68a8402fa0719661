//! Who may import whom in the `teleport` crate, as `ARCHITECTURE.md` draws it. Each module may use those it names here, all of
//! which stand above it in this list.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const LAYERS: &[(&str, &[&str])] = &[
    ("backoff", &[]),
    ("uri", &[]),
    ("inherit", &[]),
    ("signal", &[]),
    ("status", &[]),
    ("route", &[]),
    ("secrets", &["uri"]),
    ("error", &["secrets", "status"]),
    ("codec", &["status"]),
    ("protocol", &["codec"]),
    ("socket", &["inherit", "protocol"]),
    (
        "session",
        &[
            "codec", "error", "protocol", "route", "secrets", "socket", "status",
        ],
    ),
    (
        "context",
        &["codec", "protocol", "session", "socket", "status", "uri"],
    ),
    (
        "plugin",
        &["context", "protocol", "route", "session", "status"],
    ),
    (
        "router",
        &[
            "codec", "context", "plugin", "protocol", "route", "session", "status", "uri",
        ],
    ),
    (
        "peer",
        &[
            "codec", "context", "error", "inherit", "plugin", "protocol", "route", "router",
            "session", "signal", "socket", "status",
        ],
    ),
    ("restart", &["error", "inherit", "peer", "signal"]),
    (
        "plugins",
        &[
            "codec", "context", "error", "peer", "plugin", "protocol", "route", "router",
            "session", "socket", "status", "uri",
        ],
    ),
    ("link", &["backoff", "error", "peer", "session"]),
    (
        "registry",
        &[
            "backoff", "error", "link", "peer", "plugin", "route", "session",
        ],
    ),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../teleport/src")
}

fn files(module: &str) -> Vec<PathBuf> {
    let file = source().join(module).with_extension("rs");
    if file.exists() {
        return vec![file];
    }
    let entries = fs::read_dir(source().join(module)).expect("a module is a file or a folder");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(
                path.strip_prefix(source())
                    .expect("below")
                    .to_str()
                    .expect("text"),
            ),
            false => vec![path],
        })
        .collect()
}

/// The modules behind each `crate::`, apart from comments and unit tests.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, crate_) in code.match_indices("crate::") {
        let rest = &code[at + crate_.len()..];
        match rest.strip_prefix('{') {
            None => {
                found.insert(word(rest));
            }
            Some(group) => {
                let mut depth = 0;
                let mut at_start = true;
                for (at, char) in group.char_indices() {
                    match char {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        char if char.is_alphabetic() && at_start => {
                            found.insert(word(&group[at..]));
                            at_start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|char| char.is_alphanumeric() || *char == '_')
        .collect()
}

#[test]
fn no_module_imports_what_stands_beside_or_above_it() {
    let mut seen = 0;
    for (index, (module, allowed)) in LAYERS.iter().enumerate() {
        for name in *allowed {
            let below = LAYERS[..index].iter().any(|(below, _)| below == name);
            assert!(
                below,
                "`{module}` is drawn above `{name}`, which is not below it"
            );
        }
        for file in files(module) {
            let text = fs::read_to_string(&file).expect("text");
            for import in imports(&text) {
                let own = import == *module;
                // Macros and constants at the root of the crate belong to nobody.
                let a_module = import.starts_with(|char: char| char.is_lowercase());
                assert!(
                    own || !a_module || allowed.contains(&&*import),
                    "{} imports crate::{import}",
                    file.display()
                );
            }
            seen += 1;
        }
    }
    assert!(
        seen > 40,
        "the modules are where they are looked for: {seen}"
    );
}

#[test]
fn every_module_of_the_crate_has_its_layer() {
    let root = fs::read_to_string(source().join("lib.rs")).expect("text");
    let modules = root.lines().filter_map(|line| {
        let line = line.trim_start_matches("pub ");
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    for module in modules.filter(|module| *module != "__private") {
        assert!(
            LAYERS.iter().any(|(name, _)| *name == module),
            "`{module}` has no layer: add it here and to ARCHITECTURE.md"
        );
    }
}

#[test]
fn what_works_on_buffers_alone_does_no_input_or_output() {
    for module in ["uri", "secrets", "status", "codec", "protocol"] {
        for file in files(module) {
            let text = fs::read_to_string(&file).expect("text");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                let clean = !line.contains("tokio") && !line.contains("std::net");
                assert!(clean, "{}: {line}", file.display());
            }
        }
    }
}

#[test]
fn groups_and_paths_are_both_seen() {
    let text = "use crate::{a::{x, y}, b};\n// crate::c\nfn f() { crate::d::g() }\n#[cfg(test)]\nmod tests { use crate::e; }";
    let found = imports(text);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b", "d"]);
}
