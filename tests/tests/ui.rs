//! What the macros accept and how they answer mistakes: `ui/*/pass` must compile and run, `ui/*/fail` must fail with the very
//! words of the `.stderr` beside it. `TRYBUILD=overwrite` rewrites those; read them before you commit.

#[test]
fn macros_take_what_is_right_and_explain_what_is_wrong() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/*/pass/*.rs");
    cases.compile_fail("ui/*/fail/*.rs");
}
