//! [`Answer`], a reply between the driver, which reads it, and the task that awaits it, which decodes it.

use crate::{
    codec::Body,
    protocol::{Header, Packet, PacketKind},
    status::code,
};

/// A reply on its way to its caller.
///
/// A small success is copied into the table of pulls: a slice of the read buffer would share a counter with all other replies
/// of that read, and dropping it from another thread costs more than the copy.
#[derive(Debug)]
pub(crate) enum Answer {
    Small(Small),
    Whole(Box<Packet>),
}

/// The body of a reply with status 200 that is not compressed.
#[derive(Debug)]
pub(crate) struct Small {
    len: u8,
    bytes: [u8; Small::MOST],
}

impl Small {
    /// With what stands beside it, a slot of the table fills a cache line.
    const MOST: usize = 46;

    fn body(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl Answer {
    /// Takes what the caller needs out of the packet; all of it if `whole`, for plugins.
    #[inline]
    pub(crate) fn new(packet: &mut Packet, whole: bool) -> Self {
        let mut answer = Self::default();
        answer.fill(packet, whole);
        answer
    }

    /// The same, in the place of one that is empty.
    #[inline]
    pub(crate) fn fill(&mut self, packet: &mut Packet, whole: bool) {
        let header = &packet.header;
        if !whole
            && header.status_code == code::OK
            && header.gzip == 0
            && let Self::Small(small) = self
            && let Some(room) = small.bytes.get_mut(..packet.body.len())
        {
            room.copy_from_slice(&packet.body);
            small.len = packet.body.len() as u8;
        } else {
            *self = Self::whole(packet);
        }
    }

    #[inline(never)]
    fn whole(packet: &mut Packet) -> Self {
        Self::Whole(Box::new(packet.take()))
    }

    pub(crate) fn body(&self) -> Body<'_> {
        match self {
            Self::Small(small) => Body::borrowed(small.body(), 0),
            Self::Whole(packet) => packet.body(),
        }
    }

    /// The packet, if its status is not success.
    pub(crate) fn failure(&self) -> Option<&Packet> {
        match self {
            Self::Whole(packet) if packet.header.status_code != code::OK => Some(packet),
            _ => None,
        }
    }

    /// Bytes of the packet; of what was kept of it, if that is not all.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Small(small) => small.len.into(),
            Self::Whole(packet) => packet.size(),
        }
    }

    /// The header for plugins.
    pub(crate) fn header(&self, seq: u64) -> Header {
        match self {
            Self::Whole(packet) => packet.header.clone(),
            // It came before a plugin asked for the whole.
            Self::Small(_) => {
                let mut header = Header::new(PacketKind::Reply, seq, "");
                header.status_code = code::OK;
                header
            }
        }
    }
}

impl Default for Answer {
    /// A success without a body.
    #[inline]
    fn default() -> Self {
        Self::Small(Small {
            len: 0,
            bytes: [0; Small::MOST],
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::HeaderCodec;

    fn reply(status_code: i32, gzip: i32, len: usize) -> Packet {
        let mut header = Header::new(PacketKind::Reply, 7, "/a");
        header.status_code = status_code;
        header.gzip = gzip;
        Packet::new(header, HeaderCodec::Json, Bytes::from(vec![b'x'; len]))
    }

    #[test]
    fn small_successes_are_copied_and_all_else_is_kept_whole() {
        for (packet, small) in [
            (reply(200, 0, 0), true),
            (reply(200, 0, Small::MOST), true),
            (reply(200, 0, Small::MOST + 1), false),
            (reply(200, 5, 10), false),
            (reply(404, 0, 10), false),
        ] {
            let body = packet.body.clone();
            let answer = Answer::new(&mut packet.clone(), false);
            assert_eq!(matches!(answer, Answer::Small(_)), small);
            assert_eq!(answer.body().codec(), packet.body_codec());
            assert_eq!(answer.body().is_nil(), body.len() <= 1);
            assert_eq!(answer.failure().is_some(), packet.header.status_code == 404);
            assert!(matches!(
                Answer::new(&mut packet.clone(), true),
                Answer::Whole(_)
            ));
        }
    }

    #[test]
    fn an_answer_leaves_room_for_the_rest_of_a_slot_in_a_cache_line() {
        assert!(size_of::<Answer>() <= 48, "{}", size_of::<Answer>());
    }
}
