//! Every target of the fuzzers over the inputs that are kept in `fuzz/corpus`: those that reach all that was reached, and those that once
//! broke something.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use teleport_tests::fuzz::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.map(|entry| {
        let name = entry.expect("an entry").file_name();
        name.into_string().expect("a name")
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn over_corpus(target: &str) {
    let (_, run) = TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .expect("a target");
    let folder = corpus().join(target);
    let inputs = names(&folder);
    assert!(inputs.len() > 10, "{} inputs", inputs.len());
    for input in inputs {
        let bytes = fs::read(folder.join(&input)).expect("an input");
        let ran = catch_unwind(AssertUnwindSafe(|| run(&bytes)));
        assert!(ran.is_ok(), "fuzz/corpus/{target}/{input} breaks it");
    }
}

/// One test for each target, so that they run beside each other.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { over_corpus(stringify!($name)); })*

        #[test]
        fn every_target_has_its_test_its_corpus_and_its_fuzzer() {
            let tests = [$(stringify!($name)),*];
            let targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(targets, tests);
            assert_eq!(names(&corpus()), tests);
            let fuzzers = names(&corpus().join("../fuzz_targets"));
            assert_eq!(fuzzers, tests.map(|name| format!("{name}.rs")));
        }
    };
}

targets! { body config gzip header hostile packets session uri }
