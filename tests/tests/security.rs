//! `SECURITY.md` names a test for each promise, and these are there.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pieces of code in a line of Markdown.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The file that `module`, as it is written in the page, stands for.
fn source(module: &str) -> String {
    let path = module.replace("::", "/");
    let places = [
        format!("tests/tests/{path}.rs"),
        format!("teleport/src/{path}.rs"),
        format!("teleport/src/{path}/mod.rs"),
    ];
    let found = places.iter().find(|place| root().join(place).exists());
    found.map_or_else(
        || panic!("`{module}` is none of {places:?}"),
        |place| read(place),
    )
}

fn has_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let is_head = |line: &&str| line.trim_start_matches("async ").starts_with(&head);
    let Some(at) = lines.iter().position(is_head) else {
        return false;
    };
    let above = lines[..at].iter().rev();
    let mut attributes = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let page = read("SECURITY.md");
    let names = page.lines().flat_map(code).filter_map(|code| {
        let (module, name) = code.rsplit_once("::")?;
        Some((module, name))
    });
    let mut seen = 0;
    for (module, name) in names {
        assert!(
            has_test(&source(module), name),
            "SECURITY.md names `{module}::{name}`, which is no test there"
        );
        seen += 1;
    }
    assert!(seen > 60, "the names are where they are looked for: {seen}");
}

#[test]
fn every_promise_names_what_holds_it() {
    let page = read("SECURITY.md");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let promises: Vec<_> = rows.filter(|row| !row.starts_with("| promise |")).collect();
    assert!(promises.len() > 25, "{}", promises.len());
    for row in promises {
        let [_, promise, held, _] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("not two columns: {row}");
        };
        let by_tools = held.contains("the compiler and clippy") || held.contains(".ci/");
        assert!(by_tools || held.contains("::"), "nothing holds:{promise}");
    }
}

#[test]
fn a_name_in_a_comment_or_of_a_helper_is_no_test() {
    let text = "#[test]\nfn one() {\n}\n\n// fn two() is gone\nfn helper() {\n}\n\n#[tokio::test(start_paused = true)]\n#[ignore]\nasync fn three() {\n}\n";
    assert!(has_test(text, "one") && has_test(text, "three"));
    assert!(!has_test(text, "helper") && !has_test(text, "two") && !has_test(text, "on"));
}
