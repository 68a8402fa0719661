//! Who speaks TLS where none is spoken, told by the first bytes.

/// What to do about the other side's TLS, if these first bytes of a plain connection are a record of it.
///
/// ```text
/// +------+---------+-------+
/// | type | version | length|    type 21: alert, what a listener answers to plain text
/// | 1    | 3, 0..4 | 2     |    type 22: handshake, which a client begins with
/// +------+---------+-------+
/// ```
///
/// To the standard packet format they would be a header of some 350 MB.
pub(crate) fn spoken_in(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [21, 3, 0..=4, ..] => Some("the other side speaks TLS: dial tls://host:port"),
        [22, 3, 0..=4, ..] => Some(
            "the other side speaks TLS, and here is none: it must dial tcp://host:port, or this side listen at tls://host:port",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_and_hellos_are_told_from_packets() {
        let alert = spoken_in(&[21, 3, 3, 0, 2, 2, 10]).expect("an alert");
        assert!(alert.contains("dial tls://"), "{alert}");
        let hello = spoken_in(&[22, 3, 1, 2, 0, 1]).expect("a hello");
        assert!(hello.contains("dial tcp://"), "{hello}");
        for packet in [&[0, 0, 0, 21, b'j'][..], &[21, 0, 0, 0], &[22, 3], &[]] {
            assert_eq!(spoken_in(packet), None, "{packet:?}");
        }
    }
}
