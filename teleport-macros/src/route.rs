//! From names to uris (wire specification, section 3.5). Pure.

/// `TestUnknown` becomes `test_unknown`: an underscore before each ASCII capital letter that has anything but underscores in
/// front of it, then all in lower case. Each capital counts by itself.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut seen = false;
    for char in name.chars() {
        if char.is_ascii_uppercase() && seen {
            out.push('_');
        }
        seen |= char != '_';
        out.extend(char.to_lowercase());
    }
    out
}

/// Joins the parts with single slashes, one in front.
pub(crate) fn join(parts: &[&str]) -> String {
    let mut out = String::new();
    for part in parts {
        let part = part.trim_matches('/');
        if !part.is_empty() {
            out.push('/');
            out.push_str(part);
        }
    }
    out
}

/// What is wrong with a part of a route that the user has written.
pub(crate) fn check(part: &str) -> Result<(), &'static str> {
    if part.trim_matches('/').is_empty() {
        return Err("a uri must not be empty; write at least one letter, as in \"/home\"");
    }
    if part.chars().any(|char| char == '?' || char == '#') {
        return Err("a route has no query and no fragment; leave out what begins with `?` or `#`");
    }
    if part.contains('%') {
        return Err(
            "routes are matched by the decoded path; write the character itself instead of a `%` escape",
        );
    }
    if part.chars().any(char::is_control) {
        return Err("a uri cannot contain control characters");
    }
    if part.contains("//") {
        return Err("single slashes only; `//` would make a part with an empty name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snake_rule_is_the_one_of_the_wire_specification() {
        let table = [
            ("Test", "test"),
            ("A", "a"),
            ("TestUnknown", "test_unknown"),
            ("AB", "a_b"),
            ("HTTPGet", "h_t_t_p_get"),
            ("Ab", "ab"),
            ("X2Y", "x2_y"),
            ("URL", "u_r_l"),
            ("Test_Unknown", "test__unknown"),
            ("UserID", "user_i_d"),
            ("aBC", "a_b_c"),
            ("V1API", "v1_a_p_i"),
            ("ABC_DEF", "a_b_c__d_e_f"),
            ("Get2Go", "get2_go"),
            ("_Foo", "_foo"),
            ("Foo_", "foo_"),
            ("__Foo_Bar", "__foo__bar"),
            ("Foo__Bar", "foo___bar"),
            ("F_OO", "f__o_o"),
            ("already_snake", "already_snake"),
            ("Get2", "get2"),
            ("Été", "été"),
        ];
        for (name, route) in table {
            assert_eq!(snake(name), route, "{name}");
        }
    }

    #[test]
    fn parts_are_joined_by_single_slashes() {
        assert_eq!(join(&["", "home", "test"]), "/home/test");
        assert_eq!(join(&["/v1/", "home", "/test"]), "/v1/home/test");
    }

    #[test]
    fn a_part_that_no_caller_could_reach_is_refused() {
        for bad in ["", "/", "a?b", "a#b", "a%20b", "a\nb", "a//b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for good in ["a", "/a/b", "名", "a b"] {
            assert!(check(good).is_ok(), "{good}");
        }
    }
}
